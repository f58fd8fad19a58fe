"""Which source files of a target can be compiled together: `batches.py FILE`, called by cmake/Batches.cmake.

FILE holds one line a source file, `target<TAB>path`. One line comes back for each file that shares a batch with others,
`target<TAB>number<TAB>path`.

Two files may share one only if no name that either keeps to itself (in an anonymous namespace, static, a macro) occurs
anywhere in the other. So no name of one file can clash with, hide or overload one of the other: compiled together they
mean what they mean apart. A name that this reading overlooks is at worst an error of the compiler.
"""

import collections
import pathlib
import re
import sys

LARGEST = 60_000  # characters of a batch: enough of them for two cores, none of which takes a minute

OUTSIDE = re.compile(r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'', re.S)
TEST = re.compile(r"\b(TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P)\((\w+),\s*(\w+)\)")


def bare(text):
    """Without comments and the contents of literals."""
    return OUTSIDE.sub(lambda match: " " if match.group(0)[0] == "/" else '""', text)


def declared(head, body):
    """The names that a declaration adds to its namespace; `head` is what stands before its first brace or semicolon."""
    head = re.sub(r"\[\[.*?\]\]", "", head, flags=re.S).strip()
    while head.startswith("template"):
        depth = 0
        for end, letter in enumerate(head):
            depth += (letter == "<") - (letter == ">")
            if letter == ">" and depth == 0:
                break
        head = head[end + 1:].strip()
    if match := re.match(r"enum\s+(\w+)?\s*(?::.*)?$", head, re.S):
        return set(re.findall(r"\w+", body)) | ({match.group(1)} - {None})
    if match := re.match(r"(?:struct|class|union|enum\s+class)\s+(\w+)", head):
        return {match.group(1)}
    if match := re.match(r"using\s+(\w+)\s*=", head):
        return {match.group(1)}
    if TEST.match(head) or head.startswith("using namespace "):
        return set()
    match = re.search(r"(operator\s*[^\w\s(]+)\s*\(|(\w+)\s*(?:\(|=|\[|$)", head)
    return {match.group(1) or match.group(2)} if match else set()


def own_names(text):
    """What a file, without comments, keeps to itself."""
    names = set(re.findall(r"^#\s*define\s+(\w+)", text, re.M))
    names |= {f"{suite}_{name}_Test" for _, suite, name in TEST.findall(text)}
    text = re.sub(r"^#(?:.*\\\n)*.*$", "", text, flags=re.M)
    names |= set(re.findall(r"^namespace (\w+) =", text, re.M))
    names |= set(re.findall(r"^static [^;{=()]*?(\w+)\s*(?=[=({;\[])", text, re.M))
    for match in re.finditer(r"\bnamespace\s*\{", text):
        depth, at, start = 1, match.end(), match.end()
        while depth and at < len(text):
            letter = text[at]
            if depth == 1 and letter in ";{" and start is not None:
                names |= declared(text[start:at], text[at + 1:max(at + 1, text.find("}", at))])
                start = None
            depth += (letter == "{") - (letter == "}")
            if depth == 1 and letter in ";}":
                start = at + 1
            at += 1
    return names


# What both may say, as `namespace fs = std::filesystem;` or `using testing::HasSubstr;`.
ALIAS = re.compile(r"^(?:namespace (\w+) = [\w:]+|using (\w+) = [\w:]+|using [\w:]+::(\w+));", re.M)
# No name at the end of these is looked up where a file's own names stand.
ELSEWHERE = re.compile(r"(?:\.|->|\bstd::(?:\w+::)*|\btesting::)\s*\w+")


class File:
    def __init__(self, path, text):
        text = bare(text)
        self.path, self.size = path, len(text)
        self.names = own_names(text)
        self.macros = set(re.findall(r"^#\s*define\s+(\w+)", text, re.M))
        self.all_words = set(re.findall(r"\w+", text))
        self.words = set(re.findall(r"operator\s*[^\w\s(]+(?=\s*\()|\w+", ELSEWHERE.sub(" ", text))) | self.names
        self.aliases = {match.group(0): "".join(filter(None, match.groups())) for match in ALIAS.finditer(text)}

    def may_join(self, other):
        same = {name for line, name in self.aliases.items() if line in other.aliases}
        clash = (self.names & other.words) | (other.names & self.words)
        return not clash - same and not self.macros & other.all_words and not other.macros & self.all_words


def batches(files):
    """The files, in their order, each in the first batch where it may be. `files`: path to text."""
    found = []
    for file in (File(path, text) for path, text in files.items()):
        for batch in found:
            if sum(each.size for each in batch) + file.size <= LARGEST and all(map(file.may_join, batch)):
                batch.append(file)
                break
        else:
            found.append([file])
    return [[file.path for file in batch] for batch in found]


def main():
    targets = collections.defaultdict(dict)
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        target, path = line.split("\t")
        targets[target][path] = pathlib.Path(path).read_text()
    for target, files in targets.items():
        for number, paths in enumerate(batches(files)):
            for path in paths if len(paths) > 1 else []:
                print(f"{target}\t{number}\t{path}")


if __name__ == "__main__":
    main()
