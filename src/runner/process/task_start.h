// How a forked process becomes the task. Runs below the guard, where there is one thread, so that fork is safe.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runner/process/cgroups.h"
#include "runner/process/descriptor.h"
#include "runner/process/guard_wire.h"

namespace pawl::runner {

struct Request {
  std::string bytes;
  const char* directory = "";
  const char* run_folder = "";
  TryGroups groups;
  std::vector<std::string> hidden;
  std::vector<char*> arguments, variables;  // into `bytes`, ended by a null pointer
};

// Nothing, with errno set, if it cannot be read.
std::optional<Request> read_request(const Descriptor& file, const StartMessage& message);

// What is written to `failures` when a process cannot become the task.
struct StartFailure {
  KeeperReport::Step step = KeeperReport::Step::process;
  std::int32_t error = 0;
};

struct TaskDescriptors {
  int out, err;
  int failures;      // takes a StartFailure
  int listener_box;  // socket that takes the listener of the call filter, if there is one
};

// False, with errno set, if the descriptor cannot be sent through the socket.
bool send_descriptor(int socket, const Descriptor& descriptor);
// Receives the descriptor that was sent through a socket; invalid if there is none.
Descriptor receive_descriptor(const Descriptor& socket);

// In the new process, a child of `keeper`: gives up all that it must not have, and runs the program.
[[noreturn]] void become_task(const StartMessage& message, const Request& request, const TaskDescriptors& descriptors,
                              const std::vector<sock_filter>& filter, pid_t keeper);

}  // namespace pawl::runner
