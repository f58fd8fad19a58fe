// Planted bugs: faults built in on purpose, to show that the simulator finds them (./dev sim --planted). They exist only
// in libraries built with PAWL_PLANTED; in all others planted() is false at compile time. Each stands at one place of
// the code; sim/planted.cc says what each one is, and which promise it breaks.
#pragma once

#include <cstdint>

namespace pawl {

enum class Planted : std::uint8_t {
  none,
  // commits
  answer_before_commit,
  act_before_commit,
  blind_retry,
  kept_after_failure,
  lost_event,
  stale_row,
  numbers_again,
  forgotten_key,
  careless_key,
  // restart
  missed_orphan,
  lost_timer,
  forgotten_waiter,
  lost_place,
  lost_queue,
  edited_definition,
  // recovery
  done_again,
  verdict_again,
  condition_again,
  whole_job_again,
  matrix_again,
  impatient_wait,
  restarted_wait,
  forgotten_hold,
  forgiving_crash,
  forgotten_cancel,
  forgotten_verdict,
  forgotten_failure,
  key_of_attempt,
  lost_output,
  uncounted_recovery,
  counted_stop,
  no_probation,
  crowded_probation,
  // tries and results
  any_try,
  any_attempt,
  eager_retry,
  fresh_budget,
  crash_costs_a_try,
  stingy_resume,
  wrong_instance,
  stale_output,
  leaked_seat,
  crowded_seats,
  stop_fails_task,
  // persons
  retry_after_cancel,
  deaf_tries,
  waits_on,
  soft_second_cancel,
  cleanup_without_place,
  rejection_passes,
  expiry_approves,
  endless_approval,
  spared_task,
  resume_from_start,
  // groups and matrices
  crowded_group,
  queue_jumper,
  place_of_waiting,
  unrecorded_place,
  lost_group_cancel,
  wide_matrix,
  slow_failure,
  // verdicts
  blind_needs,
  hasty_job,
  unforgiving,
  forgiven_failure,
  timeout_cancels,
  silent_failure,
  left_open,
  // schedules
  slot_twice,
  lost_slot,
  lost_schedule,
  fire_when_disabled,
  misfire_twice,
  unwritten_slots,
  late_again,
  crowded_schedule,
  wide_backfill,
  backfill_twice,
  lost_park,
  forgotten_backfill,
  stale_due,
  // many nodes
  no_fence,
  wall_clock_lease,
  accepted_late_commit,
  deaf_guard,
};

#ifdef PAWL_PLANTED
inline Planted active_planted = Planted::none;
inline bool planted(Planted bug) { return active_planted == bug; }
#else
constexpr bool planted(Planted) { return false; }
#endif

}  // namespace pawl
