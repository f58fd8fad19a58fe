"""Seeds of the fuzz targets, from what the repository has anyway: seeds.py FOLDER makes FOLDER/cron, FOLDER/definition and
FOLDER/expression. The examples, the tables of wrong and odd files, the expressions in them and in the docs, and those of
tests/cron."""

import hashlib
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def workflow_files():
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        yield path.read_text()
    for name in ("wrong.txt", "odd.txt"):
        for case in re.split(r"^### ", (ROOT / "tests/definition" / name).read_text(), flags=re.M)[1:]:
            yield re.split(r"^(?:>>>|~~~) ", case.split("\n", 1)[1], maxsplit=1, flags=re.M)[0]


def expressions(files):
    """Each with the byte in front that chooses what it is taken for; see expression_fuzz.cc."""
    for text in files:
        for inside in re.findall(r"\$\{\{(.*?)\}\}", text):
            yield "\0" + inside.strip()
        for line in text.splitlines():
            if "${{" in line:
                yield "\1" + line.strip()
                yield "\2" + line.strip()
    for span in re.findall(r"`([^`\n]+)`", (ROOT / "docs/expressions.md").read_text()):
        yield "\0" + span
        yield '\3{"a": ["${{ ' + span.replace("\\", "\\\\").replace('"', '\\"') + ' }}"]}'


def crons():
    """A part of the vectors, and all that has words."""
    for name in ("quartz", "unix", "dst", "invalid"):
        for line in (ROOT / f"tests/cron/{name}.jsonl").read_text().splitlines()[::10]:
            yield json.loads(line)["cron"]
    for paragraph in (ROOT / "tests/cron/words.txt").read_text().split("\n\n")[1:]:
        yield paragraph.strip().split("\n")[0]


def write(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for text in texts:
        data = text.encode()
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def main():
    out = pathlib.Path(sys.argv[1])
    files = list(workflow_files())
    write(out / "cron", crons())
    write(out / "definition", files)
    write(out / "expression", expressions(files))


if __name__ == "__main__":
    main()
