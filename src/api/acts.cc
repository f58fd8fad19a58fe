// Routes by which a person moves a run: cancel, resume, rerun, answers to tasks that wait for one, and bulk.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "api/routes.h"
#include "api/run_filter.h"

namespace pawl::api {
namespace {

constexpr std::size_t longest_comment = 4 << 10;
constexpr std::size_t bulk_limit = 1'000;
constexpr std::size_t page_size = 200;

void ask_for_run(Service& service, Call call, Event event, RunId id) {
  service.ask(std::move(event), std::move(call),
              [id](Service& service_, store::Reader&, const Call& call_, const Result<Answer>& answer) {
                if (!answer) return call_.respond(to_response(answer.error()));
                answer_with_run(service_, call_, id, 202);
              });
}

Outcome<std::string> comment_of(const Json& body) {
  auto comment = string_member(body, "comment");
  if (comment && comment->size() > longest_comment)
    return refuse("bad_request", fmt::format("'comment' has at most {} bytes", longest_comment));
  return comment;
}

// What makes the event of a run, when the body has been read.
using MakeEvent = std::function<Event(RunId, const Who&)>;

Outcome<MakeEvent> resume_event(const Json& body) {
  const auto with_current = flag(body, "with_current"), force = flag(body, "force");
  if (!with_current) return std::unexpected(with_current.error());
  if (!force) return std::unexpected(force.error());
  if (*force && !*with_current)
    return refuse("bad_request", "'force' is for 'with_current': it runs done tasks again that cannot be matched");
  return [with_current = *with_current, force = *force](RunId id, const Who& who) -> Event {
    return ResumeRequested{id, with_current, force, nullptr, who};
  };
}

Outcome<MakeEvent> rerun_event(const Json& body) {
  auto from = string_member(body, "from");
  if (!from) return std::unexpected(from.error());
  if (from->empty())
    return refuse("bad_request",
                  "'from' is missing: the job, matrix instance or task to run again from, such as \"publish\", "
                  "\"test[db=x]\" or \"publish/check\"");
  return [from = std::move(*from)](RunId id, const Who& who) -> Event { return RerunRequested{id, from, who}; };
}

// One run: the body with these members makes the event.
void act_on_run(Service& service, Call call, std::span<const std::string_view> members,
                Outcome<MakeEvent> (*read)(const Json&)) {
  const auto id = run_id(call.path[0]);
  if (!id) return call.respond(id.error());
  const auto body = read_body(call.request, members);
  if (!body) return call.respond(body.error());
  const auto make = read(*body);
  if (!make) return call.respond(make.error());
  Event event = (*make)(*id, call.who());
  ask_for_run(service, std::move(call), std::move(event), *id);
}

void answer_task(Service& service, Call call, Answered answered, std::string comment, Json outputs) {
  const auto id = run_id(call.path[0]);
  if (!id) return call.respond(id.error());
  AnswerRequested event{
      *id, call.path[1], call.path[2], {answered, call.who(), std::move(comment)}, std::move(outputs)};
  ask_for_run(service, std::move(call), std::move(event), *id);
}

void answer_approval(Service& service, Call call, Answered answered) {
  constexpr std::string_view members[] = {"comment"};
  const auto body = read_body(call.request, members);
  if (!body) return call.respond(body.error());
  auto comment = comment_of(*body);
  if (!comment) return call.respond(comment.error());
  answer_task(service, std::move(call), answered, std::move(*comment), nullptr);
}

// --- bulk ---

struct Action {
  std::string_view name;
  std::vector<RunStatus> of;  // what it can be asked for
  Outcome<MakeEvent> (*read)(const Json&);
};

Outcome<MakeEvent> cancel_event(const Json&) {
  return [](RunId id, const Who& who) -> Event { return CancelRequested{id, who}; };
}

const std::array actions{
    Action{"cancel", {RunStatus::queued, RunStatus::running, RunStatus::waiting}, cancel_event},
    Action{"resume", {RunStatus::failed, RunStatus::cancelled}, resume_event},
    Action{"rerun", {RunStatus::success, RunStatus::failed, RunStatus::cancelled}, rerun_event},
};

Outcome<store::RunFilter> bulk_filter(const Json& body) {
  const Json* const given = find(body, "filter");
  if (!given || !given->is_object())
    return refuse("bad_request", "'filter' is missing: an object with parameters of GET runs; {} means all runs");
  for (const auto& member : given->get_object()) {
    const std::string_view key = member.key();
    if (std::ranges::find(run_filter_names, key) == run_filter_names.end())
      return refuse("unknown_field",
                    fmt::format("'filter' has no '{}'; it has {}", key, fmt::join(run_filter_names, ", ")));
    if (!member.value().is_string() && !member.value().is_number())
      return refuse("bad_request", fmt::format("'{}' of 'filter' must be a text", key));
  }
  return read_run_filter([given](std::string_view name) {
    const Json* const value = find(*given, name);
    return !value ? std::string() : value->is_string() ? std::string(as_view(*value)) : to_text(*value);
  });
}

struct Chosen {
  std::vector<Run> runs;
  bool more = false;  // than bulk_limit
};

// The runs that the filter means and that the action can be asked for.
Outcome<Chosen> choose(store::Reader& reader, const Action& action, store::RunFilter filter) {
  std::vector<RunStatus> statuses = action.of;
  if (filter.status) {
    if (std::ranges::find(action.of, *filter.status) == action.of.end())
      return refuse("bad_parameter",
                    fmt::format("a run that is {} has nothing to {}", to_string(*filter.status), action.name));
    statuses = {*filter.status};
  }
  Chosen chosen;
  std::set<RunId> seen;
  // Open runs change their status while they are looked for: again, until nothing new is found.
  for (std::size_t before = 1; before != seen.size() && !chosen.more;) {
    before = seen.size();
    for (const RunStatus status : statuses) {
      filter.status = status;
      std::string cursor;
      do {
        auto page = reader.runs(filter, page_size, cursor);
        if (!page) return refuse(page.error());
        for (Run& run : page->items) {
          if (!seen.insert(run.id).second) continue;
          chosen.more = chosen.runs.size() == bulk_limit;
          if (chosen.more) return chosen;
          chosen.runs.push_back(std::move(run));
        }
        cursor = std::move(page->next_cursor);
      } while (!cursor.empty());
    }
  }
  return chosen;
}

json::object bulk_item(const Run& run) {
  return json::object{{"id", text(to_string(run.id))}, {"workflow", text(run.workflow)}, {"number", run.number}};
}

}  // namespace

void cancel_run(Service& service, store::Reader&, Call call) { act_on_run(service, std::move(call), {}, cancel_event); }

void resume_run(Service& service, store::Reader&, Call call) {
  constexpr std::string_view members[] = {"with_current", "force"};
  act_on_run(service, std::move(call), members, resume_event);
}

void rerun_run(Service& service, store::Reader&, Call call) {
  constexpr std::string_view members[] = {"from"};
  act_on_run(service, std::move(call), members, rerun_event);
}

void approve_task(Service& service, store::Reader&, Call call) {
  answer_approval(service, std::move(call), Answered::approved);
}

void reject_task(Service& service, store::Reader&, Call call) {
  answer_approval(service, std::move(call), Answered::rejected);
}

void release_task(Service& service, store::Reader&, Call call) {
  constexpr std::string_view members[] = {"answer", "outputs", "comment"};
  const auto body = read_body(call.request, members);
  if (!body) return call.respond(body.error());
  const auto said = string_member(*body, "answer");
  if (!said) return call.respond(said.error());
  const auto answered = from_string<Answered>(*said);
  if (!answered || *answered == Answered::approved || *answered == Answered::rejected)
    return call.respond(refuse("bad_request", "'answer' must be \"done\", \"rerun\" or \"fail\"").error());
  auto comment = comment_of(*body);
  if (!comment) return call.respond(comment.error());
  const Json* const outputs = find(*body, "outputs");
  if (outputs && *answered != Answered::done)
    return call.respond(refuse("bad_request", "'outputs' are given with the answer \"done\" alone").error());
  if (outputs && !outputs->is_object())
    return call.respond(refuse("bad_request", "'outputs' must be an object").error());
  answer_task(service, std::move(call), *answered, std::move(*comment), outputs ? *outputs : Json(nullptr));
}

void bulk(Service& service, store::Reader& reader, Call call) {
  constexpr std::string_view members[] = {"action", "filter", "dry_run", "with_current", "force", "from"};
  const auto body = read_body(call.request, members);
  if (!body) return call.respond(body.error());
  const auto name = string_member(*body, "action");
  if (!name) return call.respond(name.error());
  const auto* const action = std::ranges::find(actions, std::string_view(*name), &Action::name);
  if (action == actions.end())
    return call.respond(refuse("bad_request", "'action' must be \"cancel\", \"resume\" or \"rerun\"").error());
  const auto make = action->read(*body);
  if (!make) return call.respond(make.error());
  const auto dry_run = flag(*body, "dry_run");
  if (!dry_run) return call.respond(dry_run.error());
  const auto filter = bulk_filter(*body);
  if (!filter) return call.respond(filter.error());
  auto chosen = choose(reader, *action, *filter);
  if (!chosen) return call.respond(chosen.error());

  if (*dry_run) {
    json::array items;
    for (const Run& run : chosen->runs) items.push_back(bulk_item(run));
    return call.respond(json_response(200, json::object{{"items", std::move(items)}, {"more", chosen->more}}));
  }
  std::vector<Event> events;
  events.reserve(chosen->runs.size());
  for (const Run& run : chosen->runs) events.push_back((*make)(run.id, call.who()));
  service.ask_all(std::move(events), std::move(call),
                  [chosen = std::move(*chosen)](Service&, store::Reader&, const Call& call_,
                                                const std::vector<Result<Answer>>& answers) {
                    json::array items;
                    for (std::size_t i = 0; i < answers.size(); ++i) {
                      json::object item = bulk_item(chosen.runs[i]);
                      item["accepted"] = answers[i].has_value();
                      if (!answers[i]) {
                        const Error& error = answers[i].error();
                        item["code"] = text(error.name.empty() ? to_string(error.code) : error.name);
                        item["detail"] = text(error.message);
                      }
                      items.push_back(std::move(item));
                    }
                    call_.respond(json_response(202, json::object{{"items", std::move(items)}, {"more", chosen.more}}));
                  });
}

}  // namespace pawl::api
