#include "sim/planted.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <limits>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/planted.h"
#include "base/utf8.h"
#include "sim/simulator.h"

namespace pawl::sim {
namespace {

struct Bug {
  Planted bug;
  std::string_view name;
  std::string_view what;
  std::string_view promises;  // any of them may catch it
  int nodes = 0;  // that play it; 0: one server that has its store for itself
};

// The enumerators' names; a test in tests/ holds both lists together.
#define PAWL_BUG(name, what, promises, ...) {Planted::name, #name, what, promises __VA_OPT__(, ) __VA_ARGS__}
constexpr Bug bugs[] = {
    PAWL_BUG(answer_before_commit, "whoever asks is answered before it is stored", "P1 P8 race request"),
    PAWL_BUG(act_before_commit, "a task starts before the commit that says so", "P3"),
    PAWL_BUG(blind_retry, "what was refused because a commit failed is decided again", "request"),
    PAWL_BUG(kept_after_failure, "what a failed commit would have stored stays in memory", "P12"),
    PAWL_BUG(lost_event, "a result or timer whose commit failed is forgotten", "P5"),
    PAWL_BUG(stale_row, "a run's row is not written when only its due time has changed", "P12"),
    PAWL_BUG(numbers_again, "after a restart the numbers of runs are given again", "store"),
    PAWL_BUG(forgotten_key, "the key of a start is not stored", "key"),
    PAWL_BUG(careless_key, "a key is taken though it comes with other inputs", "key"),

    PAWL_BUG(missed_orphan, "a run that was recovered once is not looked for at the next restart", "P5"),
    PAWL_BUG(lost_timer, "a restart forgets due times", "P5"),
    PAWL_BUG(forgotten_waiter, "a restart forgets who waits for a seat", "P5"),
    PAWL_BUG(lost_place, "a restart forgets who holds a place in a group", "group"),
    PAWL_BUG(lost_queue, "a restart forgets who waits for a place in a group", "group P5"),
    PAWL_BUG(edited_definition, "a run that is read again takes the newest definition", "P9"),

    PAWL_BUG(done_again, "recovery starts a task again that was done", "P2"),
    PAWL_BUG(verdict_again, "recovery takes the verdict on a skipped or failed task anew", "verdict"),
    PAWL_BUG(condition_again, "recovery evaluates a job's `if` anew", "verdict"),
    PAWL_BUG(whole_job_again, "recovery begins every cut-off job anew", "rerun"),
    PAWL_BUG(matrix_again, "recovery makes the list of a matrix anew", "matrix"),
    PAWL_BUG(impatient_wait, "recovery forgets the due time of a wait", "wait answer retry"),
    PAWL_BUG(restarted_wait, "recovery begins a wait anew", "wait"),
    PAWL_BUG(forgotten_hold, "what is to be held after a crash starts again", "hold"),
    PAWL_BUG(forgiving_crash, "what is to fail after a crash starts again", "on-crash"),
    PAWL_BUG(forgotten_cancel, "recovery forgets a cancel", "P8"),
    PAWL_BUG(forgotten_verdict, "recovery forgets the run's verdict", "verdict"),
    PAWL_BUG(forgotten_failure, "recovery forgets that a task of an open job has failed", "roll-up"),
    PAWL_BUG(key_of_attempt, "an idempotency key changes with the attempt", "P10"),
    PAWL_BUG(lost_output, "a done task loses its outputs in the next attempt", "P3"),
    PAWL_BUG(uncounted_recovery, "crashes in a row are not counted: a poison run goes on for ever", "P6"),
    PAWL_BUG(counted_stop, "a stop on request counts as a crash", "P6"),
    PAWL_BUG(no_probation, "a run that keeps crashing the server starts again at once", "P6"),
    PAWL_BUG(crowded_probation, "two such runs work side by side, and one ends the other's work", "P6"),

    PAWL_BUG(any_try, "a late result of an earlier try is taken for the newest", "result"),
    PAWL_BUG(any_attempt, "a late result of an earlier attempt is taken for other work", "result"),
    PAWL_BUG(eager_retry, "a failed try is followed by the next without its delay", "retry"),
    PAWL_BUG(fresh_budget, "recovery gives all retries again", "retry"),
    PAWL_BUG(crash_costs_a_try, "a crash uses up a try", "retry"),
    PAWL_BUG(stingy_resume, "a person's resume gives no fresh retries", "retry"),
    PAWL_BUG(wrong_instance, "a task of an instance sees the outputs of another instance", "P3"),
    PAWL_BUG(stale_output, "outputs of an earlier generation are handed on", "P3"),
    PAWL_BUG(leaked_seat, "the seat of a try that timed out is never given back", "limit P5"),
    PAWL_BUG(stop_fails_task, "a task that ended by the stop of the server counts as failed", "stop"),
    PAWL_BUG(crowded_seats, "one try more than there are seats", "limit"),

    PAWL_BUG(retry_after_cancel, "a cancelled run goes on to retry what has failed", "P8"),
    PAWL_BUG(deaf_tries, "running tries are not told of a cancel", "P8"),
    PAWL_BUG(waits_on, "a cancel does not reach what waits", "P8"),
    PAWL_BUG(soft_second_cancel, "a second cancel does not stop the clean-up", "P8"),
    PAWL_BUG(cleanup_without_place, "a run cancelled in its queue cleans up beside the one that holds the place",
             "group"),
    PAWL_BUG(rejection_passes, "a rejected approval counts as approved", "answer"),
    PAWL_BUG(expiry_approves, "an expired approval counts as approved", "answer"),
    PAWL_BUG(endless_approval, "an approval never expires", "answer"),
    PAWL_BUG(spared_task, "a rerun leaves out the very task that it names", "rerun"),
    PAWL_BUG(resume_from_start, "a person's resume starts done tasks again", "P2"),

    PAWL_BUG(crowded_group, "a group takes one run more than its limit", "group"),
    PAWL_BUG(queue_jumper, "a new run goes past the queue of its group", "group"),
    PAWL_BUG(place_of_waiting, "a run that waits gives its place in the group away", "group"),
    PAWL_BUG(unrecorded_place, "a place in a group is taken and not recorded", "group P12"),
    PAWL_BUG(lost_group_cancel, "a run that holds a place is not told that another one wants it", "group"),
    PAWL_BUG(wide_matrix, "one instance more than max-parallel", "matrix"),
    PAWL_BUG(slow_failure, "fail-fast stops nobody", "fail-fast"),

    PAWL_BUG(blind_needs, "a job runs though what it needs has failed", "needs"),
    PAWL_BUG(hasty_job, "a job runs while one that it needs is open", "needs"),
    PAWL_BUG(unforgiving, "continue-on-error is ignored", "roll-up"),
    PAWL_BUG(forgiven_failure, "a failed job with keep-going does not fail its run", "roll-up"),
    PAWL_BUG(timeout_cancels, "a run whose time is over ends as cancelled", "roll-up verdict"),
    PAWL_BUG(silent_failure, "on-failure does not follow a failure", "verdict"),
    PAWL_BUG(left_open, "a stopped run stays running after its last task", "P5"),

    PAWL_BUG(slot_twice, "a slot that is a little late stays open after its run has begun", "P7"),
    PAWL_BUG(lost_slot, "a slot that is half a minute late is passed over and not written down", "P7"),
    PAWL_BUG(lost_schedule, "a schedule that has passed slots over is not looked at any more", "P5"),
    PAWL_BUG(fire_when_disabled, "a schedule that is disabled, or whose workflow is, goes on to fire", "disabled"),
    PAWL_BUG(misfire_twice, "of slots that were missed together the last two get a run", "misfire"),
    PAWL_BUG(unwritten_slots, "slots that are passed over together get no entry", "P7"),
    PAWL_BUG(late_again, "it is told again and again that a slot is late", "late"),
    PAWL_BUG(crowded_schedule, "a run in line begins while the one before it is open", "overlap"),
    PAWL_BUG(wide_backfill, "a backfill starts more runs at once than its limit", "backfill"),
    PAWL_BUG(backfill_twice, "a backfill gives a slot a second run", "P7"),
    PAWL_BUG(lost_park, "a workflow that is enabled again forgets the schedules that came due meanwhile", "P5"),
    PAWL_BUG(forgotten_backfill, "a restart forgets the backfills that go on", "P5"),
    PAWL_BUG(stale_due, "what is read ahead takes the place of what was decided and is not durable yet", "P7 store"),

    PAWL_BUG(no_fence, "a commit of an older epoch is applied", "I3", 3),
    PAWL_BUG(wall_clock_lease, "a lease is over when the clock of who wants it says so", "lease I3 I16", 3),
    PAWL_BUG(accepted_late_commit, "a commit that comes late is taken for one of the node that has taken over", "I3",
             3),
    PAWL_BUG(deaf_guard, "tries start and live on after the trust window of their node", "lease I16 P3", 3),
};
#undef PAWL_BUG

bool is_meant(std::string_view promises, std::string_view violation) {
  for (const auto part : std::views::split(promises, ' '))
    if (std::string_view(part.begin(), part.end()) == promise_of(violation)) return true;
  return false;
}

struct Caught {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::string by;
};

struct Hunt {
  std::optional<Caught> caught;  // by the lowest seed
  std::set<std::string> others;  // promises that caught it, and none of them its own
};

// The lowest seed is found, whatever the number of threads: each plays the next seed until one below it has caught.
Hunt hunt(const Bug& bug, std::uint64_t first, std::uint64_t seeds) {
  Hunt result;
  std::mutex mutex;
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> best{std::numeric_limits<std::uint64_t>::max()};
  active_planted = bug.bug;
  const auto work = [&] {
    for (;;) {
      const std::uint64_t i = next++;
      if (i >= seeds || i > best) return;
      const Outcome outcome = simulate({.seed = first + i, .nodes = bug.nodes});
      const auto found = std::ranges::find_if(
          outcome.violations, [&](const std::string& violation) { return is_meant(bug.promises, violation); });
      const std::lock_guard lock(mutex);
      if (found == outcome.violations.end()) {
        for (const std::string& violation : outcome.violations) result.others.emplace(promise_of(violation));
      } else if (i < best) {
        best = i;
        result.caught = {outcome.seed, outcome.step_of_violation, found->substr(0, found->find('\n'))};
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) workers.emplace_back(work);
  }
  active_planted = Planted::none;
  return result;
}

// What was said, without the id of the run, which says nothing to a reader, and no longer than a line.
std::string brief(std::string violation) {
  constexpr std::size_t longest = 100;
  const std::size_t run = violation.find(" run ");
  const std::size_t end = violation.find(": ");
  if (run != std::string::npos && end != std::string::npos && run < end) violation.erase(run, end - run);
  if (violation.size() > longest) violation = std::string(cut_utf8(violation, longest)) + "…";
  return violation;
}

}  // namespace

int list_planted() {
  for (const Bug& bug : bugs) fmt::print("{:22} {} [{}]\n", bug.name, bug.what, bug.promises);
  return 0;
}

int catch_planted(std::string_view name, std::uint64_t first, std::uint64_t seeds) {
  std::size_t played = 0;
  std::size_t caught = 0;
  for (const Bug& bug : bugs) {
    if (!name.empty() && name != bug.name) continue;
    ++played;
    const Hunt found = hunt(bug, first, seeds);
    if (found.caught) {
      ++caught;
      fmt::print("{:22} seed {:4}, step {:5}  {}\n", bug.name, found.caught->seed, found.caught->step,
                 brief(found.caught->by));
    } else if (found.others.empty()) {
      fmt::print("{:22} SURVIVED {} seeds: {}\n", bug.name, seeds, bug.what);
    } else {
      fmt::print("{:22} SURVIVED {} seeds: {}; noticed only by {}, and not by {}\n", bug.name, seeds, bug.what,
                 fmt::join(found.others, " "), bug.promises);
    }
    std::fflush(stdout);
  }
  if (played == 0) {
    fmt::print(stderr, "no planted bug is called {}; ./dev sim --planted list names them\n", name);
    return 2;
  }
  fmt::print("{} of {} planted bugs caught\n", caught, played);
  return caught == played ? 0 : 1;
}

}  // namespace pawl::sim
