// Commands by which a person moves runs: cancel, resume, rerun, approve, release.
#include <fmt/format.h>

#include <charconv>

#include "cli/commands.h"
#include "cli/render.h"
#include "cli/server.h"

namespace pawl::cli {
namespace {

using Kind = ActOptions::Kind;

std::string_view word_of(Kind kind) {
  switch (kind) {
    case Kind::cancel: return "cancel";
    case Kind::resume: return "resume";
    case Kind::rerun: return "rerun";
    case Kind::approve: return "approve";
    case Kind::reject: return "reject";
    case Kind::release: return "release";
  }
  return "";
}

// T of --since and --until as the API takes it.
Outcome<std::string> time_of(std::string_view option, const std::string& text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size() && seconds >= 0) return text;
  const auto at = parse_rfc3339(text);
  if (!at)
    return give_up(Exit::wrong_usage, "usage",
                   fmt::format("--{}: '{}' is no time: give Unix seconds, or 2026-11-23T08:00:00Z", option, text));
  return to_rfc3339(*at);
}

// The members of the request's body that the options make.
Outcome<json::object> body_of(const ActOptions& options) {
  json::object body;
  if (options.with_current) body["with_current"] = true;
  if (options.force) body["force"] = true;
  if (!options.from.empty()) body["from"] = options.from;
  if (!options.answer.empty()) body["answer"] = options.answer;
  if (!options.comment.empty()) body["comment"] = options.comment;
  if (!options.outputs.empty()) {
    auto outputs = read_outputs(options.outputs);
    if (!outputs) return std::unexpected(outputs.error());
    body["outputs"] = std::move(*outputs);
  }
  return body;
}

Outcome<int> act_on_server(Console& console, const Common& common, const ActOptions& options) {
  if (!options.rules.egress.allow.empty() || !options.rules.egress.deny.empty() || options.rules.limits != TaskLimits{})
    return give_up(Exit::wrong_usage, "usage",
                   "--egress-… and --task-… are for runs of `pawl run`; a server is told when it is started");
  const auto named = parse_run(options.run);
  if (!named) return std::unexpected(named.error());
  auto body = body_of(options);
  if (!body) return std::unexpected(body.error());
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());
  std::string path = "runs/" + named->id;
  if (named->id.empty()) {
    const auto run = server->run(options.run);
    if (!run) return std::unexpected(run.error());
    path += id_of(*run);
  }
  if (const auto task = split_task(options.task))
    path += fmt::format("/tasks/{}/{}", encoded(task->first), encoded(task->second));
  const auto run = server->post(fmt::format("{}/{}", path, word_of(options.kind)), Json(std::move(*body)));
  if (!run) return std::unexpected(run.error());
  if (common.json)
    console.line(to_text(*run));
  else
    console.line(fmt::format("{}  {}  attempt {}", name_of(*run), status_words(console, words(*run, "status")),
                             find_int(*run, "attempt").value_or(1)));
  return Exit::fine;
}

Outcome<int> act_on_many(Console& console, const Common& common, const ActOptions& options) {
  auto filter = filter_members(options.filter);
  if (!filter) return std::unexpected(filter.error());
  auto body = body_of(options);
  if (!body) return std::unexpected(body.error());
  (*body)["action"] = word_of(options.kind);
  (*body)["filter"] = std::move(*filter);
  if (options.dry_run) (*body)["dry_run"] = true;
  auto server = Server::open(common);
  if (!server) return std::unexpected(server.error());

  json::array all;
  std::int64_t done = 0, refused = 0;
  for (bool more = true; more;) {
    const auto answer = server->post("runs/bulk", Json(*body));
    if (!answer) return std::unexpected(answer.error());
    const std::int64_t before = done;
    for (const Json& item : elements(*answer, "items")) {
      const Json* const accepted = find(item, "accepted");
      const bool fine = !accepted || (accepted->is_bool() && accepted->get_bool());
      ++(fine ? done : refused);
      all.push_back(item);
      if (common.json) continue;
      console.line(fmt::format("{:<8}  {}  {}",
                               options.dry_run ? "would"
                               : fine          ? word_of(options.kind)
                                               : "refused",
                               name_of(item), fine ? id_of(item) : words(item, "detail")));
    }
    const Json* const left = find(*answer, "more");
    // What was refused once would be refused again, and a dry run moves nothing.
    more = left && left->is_bool() && left->get_bool() && done > before && !options.dry_run;
    if (left && left->is_bool() && left->get_bool() && !more && !common.json)
      console.complain("there are more runs than these");
  }
  if (common.json)
    console.line(to_text(Json(json::object{{"items", std::move(all)}})));
  else if (done + refused == 0)
    console.line(fmt::format("no run of these can be asked to {}", word_of(options.kind)));
  return refused > 0 ? Exit::refused : Exit::fine;
}

}  // namespace

Outcome<json::object> filter_members(const RunFilter& filter) {
  json::object members;
  if (!filter.workflow.empty()) members["workflow"] = filter.workflow;
  if (!filter.status.empty()) members["status"] = filter.status;
  if (!filter.trigger.empty()) members["trigger"] = filter.trigger;
  for (const auto& [name, value] : {std::pair("since", &filter.since), std::pair("until", &filter.until)}) {
    if (value->empty()) continue;
    auto time = time_of(name, *value);
    if (!time) return std::unexpected(time.error());
    members[name] = std::move(*time);
  }
  return members;
}

Outcome<Json> read_outputs(const std::vector<std::string>& texts) {
  const Inputs given = split_inputs(texts, "output");
  if (!given.problem.empty()) return give_up(Exit::wrong_usage, "usage", given.problem);
  json::object outputs;
  for (const auto& [name, text] : given.values) {
    auto value = parse_json(text);
    outputs[name] = value ? std::move(*value) : Json(text);
  }
  return Json(std::move(outputs));
}

Outcome<int> act(Console& console, const Common& common, const ActOptions& options, const Hooks& hooks) {
  if (options.run.empty()) {
    if (options.filter == RunFilter{} && !options.all)
      return give_up(Exit::wrong_usage, "usage",
                     fmt::format("which run? Give RUN, or a filter such as --workflow NAME --status failed; --all "
                                 "means every run that can be asked to {}",
                                 word_of(options.kind)));
    return act_on_many(console, common, options);
  }
  if (options.filter != RunFilter{} || options.all || options.dry_run)
    return give_up(Exit::wrong_usage, "usage", "give RUN or a filter, not both");
  if (!options.task.empty() && !split_task(options.task))
    return give_up(Exit::wrong_usage, "usage", fmt::format("'{}' is no task: write it as JOB/TASK", options.task));
  const auto here = act_here(console, common, options, hooks);
  if (!here) return std::unexpected(here.error());
  if (*here) return **here;
  return act_on_server(console, common, options);
}

}  // namespace pawl::cli
