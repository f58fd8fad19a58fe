// What the server, its guard and the keepers tell each other, over sockets that keep messages apart (SOCK_SEQPACKET).
// All of them are the same binary at the same moment, so plain structs do.
//
//   server -> guard    StartMessage, and with it four descriptors: request, standard output, standard error, control
//   guard  -> server   GuardMessage, about a try whose keeper cannot speak for itself
//   server -> keeper   StopMessage, over the control socket; its end means that the server is dead
//   keeper -> server   KeeperReport, once, when the main process has ended and nothing is left below the keeper
#pragma once

#include <cstdint>

#include "runner/process/process_runner.h"
#include "runner/process/task_user.h"

namespace pawl::runner {

// What keeps a task out of the hidden folders but for its run's.
enum class Fence : std::int32_t {
  none,
  cover,     // cover.h; by the guard at its start, for all its tasks
  landlock,  // fence.h; by each task for itself
};

// The request is a memory file of texts, each ended by a NUL: the working directory, the run's folder, the cgroups that
// hold processes and memory (empty: none), the server's folder and the workspace (hidden: one or both), the arguments,
// the variables (NAME=value).
struct StartMessage {
  std::uint64_t serial = 0;  // names the try between server and guard
  std::int64_t timeout_us = -1;  // negative: none
  std::int64_t grace_us = 0;  // from TERM to KILL when the time is over
  std::uint64_t request_bytes = 0;
  std::uint32_t hidden = 0;
  std::uint32_t arguments = 0;
  std::uint32_t variables = 0;
  bool no_new_privileges = false;
  Fence fence = Fence::none;
  bool isolated = false;  // behind make_isolation(), fence.h
  bool calls_filtered = false;  // behind call_filter.h
  bool signals_filtered = false;  // then also for calls that send signals
  bool other_user = false;
  Identity user;  // if other_user
  TaskLimits limits;
};
constexpr int start_descriptors = 4;

// TERM to the whole tree, KILL after `grace_us`; at once if that is not positive. A later message can only shorten it.
struct StopMessage {
  std::int64_t grace_us = 0;
};

struct KeeperReport {
  enum class Why : std::int32_t {
    exited,  // by itself
    timed_out,  // its time was over
    stopped,  // by a StopMessage
    processes,  // killed: more of them than its limit
    memory,  // killed: more of it than its limit
    not_started,  // `step` failed with the errno `error`
  };
  enum class Step : std::int32_t { process, limits, user, fence, directory, program };
  Why why = Why::exited;
  Step step = Step::process;
  std::int32_t error = 0;
  std::int32_t ended = 0;  // the main process has ended, with
  std::int32_t wait_status = 0;  // this, as waitpid() gives it
  std::int32_t left = 0;  // processes that would not die; their keeper keeps trying
};

struct GuardMessage {
  enum class Kind : std::int32_t {
    not_started,  // no keeper could be made: `step` failed with the errno `error`
    swept,  // the keeper was killed; what it left behind is dead
  };
  std::uint64_t serial = 0;
  Kind kind = Kind::swept;
  KeeperReport::Step step = KeeperReport::Step::process;
  std::int32_t error = 0;
};

}  // namespace pawl::runner
