// validate, apply, and the files that they and `run` read.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/server.h"
#include "cli/text.h"
#include "zones/zones.h"

namespace pawl::cli {
namespace {

namespace fs = std::filesystem;

std::unexpected<std::vector<definition::Problem>> unreadable(const std::string& why) {
  return std::unexpected(std::vector{definition::Problem{1, 1, why, ""}});
}

std::expected<std::string, std::string> read_text(const std::string& file) {
  const auto because = [](int error) {
    return std::unexpected(fmt::format("cannot be read: {}", std::strerror(error)));
  };
  std::error_code ignored;
  if (file != "-" && fs::is_directory(file, ignored)) return because(EISDIR);
  const auto close = [](std::FILE* f) {
    if (f && f != stdin) std::fclose(f);
  };
  const std::unique_ptr<std::FILE, decltype(close)> from(file == "-" ? stdin : std::fopen(file.c_str(), "re"), close);
  if (!from) return because(errno);
  // One byte more than may be, so that too long a text is seen to be so.
  std::string text(definition::max_text + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), from.get()));
  if (std::ferror(from.get())) return because(errno);
  if (text.size() > definition::max_text)
    return std::unexpected(fmt::format("is larger than a definition may be ({} bytes)", definition::max_text));
  return text;
}

Json text_json(std::string_view text) {
  const std::string valid = to_utf8_lossy(text);
  return json::string(valid.data(), valid.size());
}

json::array to_json(const std::vector<definition::Problem>& problems) {
  json::array items;
  for (const auto& problem : problems)
    items.push_back(json::object{{"line", problem.line},
                                 {"column", problem.column},
                                 {"message", text_json(problem.message)},
                                 {"hint", text_json(problem.hint)}});
  return items;
}

json::object report(const Definition& definition) {
  json::object file{{"file", text_json(definition.file)}, {"valid", definition.parsed.has_value()}};
  file["errors"] = definition.parsed ? json::array() : to_json(definition.parsed.error());
  file["warnings"] = definition.parsed ? to_json(definition.parsed->warnings) : json::array();
  return file;
}

std::string shown_name(const Definition& definition) { return definition.file == "-" ? "<stdin>" : definition.file; }

std::string text_of(const Definition& definition, const std::vector<definition::Problem>& problems,
                    std::string_view kind) {
  std::string lines;
  for (const auto& problem : problems)
    for (const std::string& line : printable_lines(definition::to_text(problem, shown_name(definition))))
      lines += (lines.empty() ? "" : "\n") + line + std::string(kind);
  return lines;
}

void warn(Console& console, const Definition& definition) {
  if (definition.parsed && !definition.parsed->warnings.empty())
    console.complain(text_of(definition, definition.parsed->warnings, " (warning)"));
}

bool is_definition(const fs::path& path) {
  const auto ending = path.extension();
  return ending == ".yaml" || ending == ".yml" || ending == ".json";
}

// The definitions below a folder, in order of their paths. Hidden folders and links to folders are passed over.
std::vector<std::string> files_below(const std::string& folder, std::error_code& error) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const bool is_folder = entry->is_directory(ignored);
    if (is_folder && entry->path().filename().native().starts_with('.')) entry.disable_recursion_pending();
    if (!is_folder && is_definition(entry->path())) files.push_back(entry->path().string());
  }
  std::ranges::sort(files);
  return files;
}

// Folders become the definitions in them, in order of their names.
Outcome<std::vector<std::string>> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error))
      if (is_definition(entry->path()) && !entry->is_directory(error)) inside.push_back(entry->path().string());
    if (error)
      return give_up(Exit::failed, "folder_unreadable", fmt::format("{} cannot be read: {}", path, error.message()));
    if (inside.empty())
      return give_up(Exit::failed, "folder_empty", fmt::format("{} holds no definition (*.yaml, *.yml, *.json)", path));
    std::ranges::sort(inside);
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

// The problems that a server found, at their places in the file.
std::string server_problems(const Definition& definition, const Trouble& trouble) {
  const auto found = trouble.more.find("errors");
  std::vector<definition::Problem> problems;
  if (found != trouble.more.end() && found->value().is_array())
    for (const Json& one : found->value().get_array())
      problems.push_back({static_cast<int>(find_int(one, "line").value_or(1)),
                          static_cast<int>(find_int(one, "column").value_or(1)),
                          std::string(find_string(one, "message")), std::string(find_string(one, "hint"))});
  return problems.empty() ? fmt::format("{}: {}", shown_name(definition), trouble.message)
                          : text_of(definition, problems, "");
}

std::string change_of(const Json& answer) {
  const auto flag = [&](std::string_view name) {
    const Json* value = find(answer, name);
    return value && value->is_bool() && value->get_bool();
  };
  return flag("created") ? "created" : flag("unchanged") ? "unchanged" : "changed";
}

std::string input_words(const Input& input) {
  std::string text = input.name;
  if (input.fallback) text += " (default " + pawl::to_text(*input.fallback) + ")";
  if (input.required) text += " (required)";
  return text;
}

}  // namespace

Definition read_definition(const std::string& file) {
  auto text = read_text(file);
  if (!text) return {file, "", unreadable(text.error())};
  auto parsed = definition::parse(*text, {.zone_problem = zones::problem_of});
  return {file, std::move(*text), std::move(parsed)};
}

std::string problems_text(const Definition& definition) {
  return definition.parsed ? "" : text_of(definition, definition.parsed.error(), "");
}

namespace {

// What `validate` has seen so far.
struct Tally {
  std::size_t files = 0, wrong = 0, problems = 0, warnings = 0;
  json::array reports;

  void add(Console& console, const Common& common, const Definition& definition) {
    ++files;
    wrong += definition.parsed ? 0 : 1;
    problems += definition.parsed ? 0 : definition.parsed.error().size();
    warnings += definition.parsed ? definition.parsed->warnings.size() : 0;
    if (common.json) {
      reports.push_back(report(definition));
      return;
    }
    warn(console, definition);
    if (definition.parsed)
      console.line(fmt::format("{}: fine", printable(shown_name(definition))));
    else
      console.complain(problems_text(definition));
  }

  std::string summary() const {
    const auto count = [](std::size_t number, std::string_view what) {
      return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
    };
    std::string text = count(files, "file") + ": ";
    text += wrong == 0 ? "fine" : fmt::format("{} wrong, {}", wrong, count(problems, "problem"));
    if (warnings > 0) text += ", " + count(warnings, "warning");
    return text;
  }
};

}  // namespace

Outcome<int> validate(Console& console, const Common& common, const std::vector<std::string>& paths) {
  Tally tally;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error)) {
      tally.add(console, common, read_definition(path));
      continue;
    }
    const auto files = files_below(path, error);
    if (error)
      tally.add(console, common, {path, "", unreadable(fmt::format("cannot be read: {}", error.message()))});
    else if (files.empty())
      tally.add(console, common, {path, "", unreadable("holds no definition (*.yaml, *.yml, *.json)")});
    for (const std::string& file : files) tally.add(console, common, read_definition(file));
  }
  if (common.json)
    console.line(pawl::to_text(Json(json::object{{"valid", tally.wrong == 0},
                                                 {"files", std::move(tally.reports)},
                                                 {"problems", tally.problems},
                                                 {"warnings", tally.warnings}})));
  else if (tally.files > 1 || tally.wrong > 0)
    console.line(tally.summary());
  return tally.wrong == 0 ? Exit::fine : Exit::failed;
}

Outcome<int> schema(Console& console) {
  console.print(definition::schema());
  return Exit::fine;
}

Outcome<int> apply(Console& console, const Common& common, const std::vector<std::string>& paths) {
  const auto files = files_of(paths);
  if (!files) return std::unexpected(files.error());
  std::vector<Definition> definitions;
  for (const std::string& file : *files) definitions.push_back(read_definition(file));

  // Nothing is sent before all is known to be fine.
  json::array reports;
  std::string problems;
  for (std::size_t i = 0; i < definitions.size(); ++i) {
    Definition& one = definitions[i];
    for (std::size_t j = 0; j < i && one.parsed; ++j)
      if (definitions[j].parsed && definitions[j].parsed->workflow.name == one.parsed->workflow.name)
        one.parsed = unreadable(
            fmt::format("workflow '{}' stands in {} already", one.parsed->workflow.name, definitions[j].file));
    if (one.parsed) continue;
    problems += (problems.empty() ? "" : "\n") + problems_text(one);
    reports.push_back(report(one));
  }
  if (!reports.empty()) {
    if (common.json)
      return give_up(Exit::failed, "definition_invalid", "nothing was sent", {{"files", std::move(reports)}});
    console.complain(problems);
    return Exit::failed;
  }

  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  json::array applied;
  for (const Definition& one : definitions) {
    warn(console, one);
    const std::string& name = one.parsed->workflow.name;
    const bool is_json = fs::path(one.file).extension() == ".json";
    const auto answer =
        server->put("workflows/" + encoded(name), one.text, is_json ? "application/json" : "application/yaml");
    if (!answer) {
      Trouble trouble = answer.error();
      trouble.message = server_problems(one, trouble);
      trouble.more["file"] = text_json(one.file);
      trouble.more["applied"] = std::move(applied);
      return std::unexpected(std::move(trouble));
    }
    const std::string change = change_of(*answer);
    const auto version = find_int(*answer, "version").value_or(0);
    const Json* const warnings = find(*answer, "warnings");
    applied.push_back(json::object{{"file", text_json(one.file)},
                                   {"name", text_json(name)},
                                   {"version", version},
                                   {"change", change},
                                   {"warnings", warnings ? *warnings : Json(json::array())}});
    if (common.json) continue;
    console.line(fmt::format("{} version {} ({})", printable(name), version, change));
    if (!warnings || !warnings->is_array()) continue;
    for (const Json& warning : warnings->get_array())
      // Those with a place are the reader's, and were told above.
      if (!find_int(warning, "line")) console.complain("  " + printable(find_string(warning, "message")));
  }
  if (common.json) console.line(pawl::to_text(Json(json::object{{"items", std::move(applied)}})));
  return Exit::fine;
}

Outcome<Json> read_inputs(const Workflow& workflow, const std::vector<std::string>& texts) {
  const Inputs given = split_inputs(texts);
  if (!given.problem.empty()) return give_up(Exit::wrong_usage, "usage", given.problem);
  json::object values;
  for (const auto& [name, value] : given.values) {
    if (!is_utf8(name) || !is_utf8(value))
      return give_up(Exit::wrong_usage, "usage", fmt::format("input '{}' is not UTF-8", name));
    values[name] = text_json(value);
  }
  auto checked = definition::check_inputs(workflow, Json(std::move(values)), true);
  if (checked) return std::move(*checked);
  std::string message = fmt::format("{}", fmt::join(checked.error(), "\n"));
  std::vector<std::string> known;
  for (const Input& input : workflow.inputs) known.push_back(input_words(input));
  if (!known.empty()) message += fmt::format("\ninputs of {}: {}", workflow.name, fmt::join(known, ", "));
  json::array errors;
  for (const std::string& one : checked.error()) errors.push_back(json::object{{"message", text_json(one)}});
  return give_up(Exit::failed, "inputs_invalid", std::move(message), {{"errors", std::move(errors)}});
}

}  // namespace pawl::cli
