// What the server, its guard and the keepers tell each other, over sockets that keep messages apart (SOCK_SEQPACKET).
// All of them are the same binary at the same moment, so plain structs do.
//
//   server -> guard    StartMessage, and with it four descriptors: request, standard output, standard error, control
//   guard  -> server   GuardMessage, about a try whose keeper cannot speak for itself
//   server -> keeper   StopMessage, over the control socket; its end means that the server is dead
//   keeper -> server   KeeperReport, once, when the main process has ended and nothing is left below the keeper
#pragma once

#include <cstdint>

namespace pawl::runner {

// The request is a memory file: the working directory, then the arguments, then the variables (NAME=value), each
// ended by a NUL.
struct StartMessage {
  std::uint64_t serial = 0;      // names the try between server and guard
  std::int64_t timeout_us = -1;  // negative: none
  std::int64_t grace_us = 0;     // from TERM to KILL when the time is over
  std::uint64_t request_bytes = 0;
  std::uint32_t arguments = 0;
  std::uint32_t variables = 0;
};
constexpr int start_descriptors = 4;

struct GuardMessage {
  enum class Kind : std::int32_t {
    not_started,  // no keeper could be made; `error` is the errno
    swept,        // the keeper was killed; what it left behind is dead
  };
  std::uint64_t serial = 0;
  Kind kind = Kind::swept;
  std::int32_t error = 0;
};

// TERM to the whole tree, KILL after `grace_us`; at once if that is not positive. A later message can only shorten it.
struct StopMessage {
  std::int64_t grace_us = 0;
};

struct KeeperReport {
  enum class Why : std::int32_t {
    exited,       // by itself
    timed_out,    // its time was over
    stopped,      // by a StopMessage
    not_started,  // `step` failed with the errno `error`
  };
  enum class Step : std::int32_t { process, directory, program };
  Why why = Why::exited;
  Step step = Step::process;
  std::int32_t error = 0;
  std::int32_t ended = 0;        // the main process has ended, with
  std::int32_t wait_status = 0;  // this, as waitpid() gives it
  std::int32_t left = 0;         // processes that would not die; their keeper keeps trying
};

}  // namespace pawl::runner
