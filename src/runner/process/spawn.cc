#include "runner/process/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>

namespace pawl::runner {

int spawn_program(pid_t& pid, const std::string& program, const std::vector<std::string>& arguments,
                  std::initializer_list<int> descriptors) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0);
  }
  int next = STDERR_FILENO + 1;
  for (const int descriptor : descriptors) ::posix_spawn_file_actions_adddup2(&actions, descriptor, next++);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, next);
  // The guard ignores the signals that stop the server, but only once it runs. Until then they are blocked, so that
  // they cannot end it.
  sigset_t stops, all;
  sigemptyset(&stops);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&stops, number);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &stops);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> words{program, "__guard"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  std::string library_path;
  std::array<char*, 2> environment{nullptr, nullptr};
  if (const char* value = ::getenv("LD_LIBRARY_PATH"); value != nullptr) {
    library_path = std::string{"LD_LIBRARY_PATH="} + value;
    environment[0] = library_path.data();
  }
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, list.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace pawl::runner
