// Routes of logs: what tasks printed, and what happened to a run.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/routes.h"
#include "api/run_json.h"
#include "api/sentences.h"
#include "base/utf8.h"

namespace pawl::api {
namespace {

// Of one answer; the next goes on where it ended.
constexpr std::size_t most_bytes = 1 << 20;
constexpr std::size_t most_frames = 10'000;

std::string_view word(store::LogStream stream) {
  switch (stream) {
    case store::LogStream::out: return "stdout";
    case store::LogStream::err: return "stderr";
    case store::LogStream::note: return "note";
  }
  return "note";
}

Outcome<std::uint64_t> offset_parameter(const net::Request& request) {
  const auto offset = number_parameter(request, "offset");
  if (!offset) return std::unexpected(offset.error());
  return static_cast<std::uint64_t>(offset->value_or(0));
}

// Stands for frames that are damaged; whose they were is not known.
bool is_gap(const store::LogFrame& frame) { return frame.job.empty() && frame.stream == store::LogStream::note; }

// A remark of Pawl's own is a line of its own.
void append_note(std::string& bytes, std::string_view note) {
  if (!bytes.empty() && !bytes.ends_with('\n')) bytes += '\n';
  bytes.append("pawl: ").append(note) += '\n';
}

// An offset that no answer gave reads nonsense or nothing: that is the asker's mistake.
std::unexpected<net::Response> unreadable(const Error& error) {
  if (error.code == Code::invalid) return refuse("bad_parameter", error.message);
  return refuse(error);
}

}  // namespace

Looked show_task_logs(Service& service, store::Reader&, const Call& call) {
  const auto id = run_id(call.path[0]);
  if (!id) return std::unexpected(id.error());
  const auto offset = offset_parameter(call.request);
  if (!offset) return std::unexpected(offset.error());
  const auto of_attempt = number_parameter(call.request, "attempt"), of_try = number_parameter(call.request, "try");
  if (!of_attempt) return std::unexpected(of_attempt.error());
  if (!of_try) return std::unexpected(of_try.error());
  const auto history = service.histories().history(*id);
  if (!history) return refuse(history.error());

  const std::string &job = call.path[1], &task = call.path[2];
  bool known = false;
  std::set<int> tries;  // those of the attempt asked for
  for (const Attempt& attempt : history->attempts) {
    const auto ref = Names(*history, attempt).position_of_task(job, task);
    if (!ref) continue;
    known = true;
    if (*of_attempt && attempt.number != **of_attempt) continue;
    for (const Try& one :
         attempt.jobs.at(static_cast<std::size_t>(ref->job)).tasks.at(static_cast<std::size_t>(ref->task)).tries)
      tries.insert(one.number);
  }
  if (!known) return refuse("task_unknown", fmt::format("the run has no task '{}/{}'", job, task), 404);

  net::Response response;
  response.content_type = "text/plain; charset=utf-8";
  std::string bytes;
  const auto next = service.logs().read(*id, *offset, [&](store::LogFrame&& frame) {
    if (is_gap(frame)) {
      append_note(bytes, frame.bytes);
      return true;
    }
    if (frame.job != job || frame.task != task) return true;
    if (*of_try && frame.try_number != **of_try) return true;
    if (*of_attempt && !tries.contains(frame.try_number)) return true;
    if (frame.stream == store::LogStream::note)
      append_note(bytes, frame.bytes);
    else
      bytes += frame.bytes;
    return bytes.size() < most_bytes;
  });
  if (!next) return unreadable(next.error());
  response.body = to_utf8_lossy(bytes);
  response.headers.emplace_back("Pawl-Next-Offset", std::to_string(*next));
  return response;
}

Looked show_run_logs(Service& service, store::Reader& reader, const Call& call) {
  const auto id = run_id(call.path[0]);
  if (!id) return std::unexpected(id.error());
  const auto offset = offset_parameter(call.request);
  if (!offset) return std::unexpected(offset.error());
  // Read before the log: a final status then means that nothing follows what is read now.
  const auto run = reader.run(*id);
  if (!run) return refuse(run.error());
  if (!*run) return refuse("run_unknown", fmt::format("there is no run {}", to_string(*id)), 404);
  json::array items;
  std::size_t size = 0;
  const auto next = service.logs().read(*id, *offset, [&](store::LogFrame&& frame) {
    size += frame.bytes.size();
    items.push_back(json::object{{"job", text(frame.job)},
                                 {"task", text(frame.task)},
                                 {"try", frame.try_number},
                                 {"stream", text(word(frame.stream))},
                                 {"at", time(frame.at)},
                                 {"text", text(to_utf8_lossy(frame.bytes))}});
    return size < most_bytes && items.size() < most_frames;
  });
  if (!next) return unreadable(next.error());
  return json_response(
      200,
      json::object{{"items", std::move(items)}, {"next_offset", *next}, {"status", text(to_string((*run)->status))}});
}

Looked show_run_log(Service& service, store::Reader&, const Call& call) {
  const auto id = run_id(call.path[0]);
  if (!id) return std::unexpected(id.error());
  const auto limit = limit_parameter(call.request);
  if (!limit) return std::unexpected(limit.error());
  const auto cursor = cursor_parameter(call.request);
  if (!cursor) return std::unexpected(cursor.error());
  std::int64_t after = 0;
  if (!cursor->empty()) {
    const auto place = parse_json(*cursor);
    if (!place || !place->is_int64()) return refuse("bad_parameter", "cursor is none that a page of this server gave");
    after = place->get_int64();
  }
  // Records first: the history then knows every attempt that they speak of.
  const auto records = service.histories().records(*id);
  if (!records) return refuse(records.error());
  const auto history = service.histories().history(*id);
  if (!history) return refuse(history.error());
  json::array items = sentences(*history, *records, after, *limit);
  std::string next;
  if (const auto last = items.empty() ? std::nullopt : find_int(items.back(), "seq"); last && !records->empty())
    if (*last < records->back().seq) next = make_cursor(std::to_string(*last));
  return json_response(200, list(std::move(items), next));
}

}  // namespace pawl::api
