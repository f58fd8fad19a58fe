// What the command line says, command by command.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pawl::cli {

struct Common {
  std::string server;  // as given; empty: PAWL_SERVER, or the default
  std::string data;    // as given; empty: PAWL_DATA, or the default
  bool json = false;
};

struct RunOptions {
  std::string file;
  std::vector<std::string> inputs;  // k=v
  bool plain = false;
};

struct StartOptions {
  std::string workflow;
  std::vector<std::string> inputs;  // k=v
  std::string key, like;
  bool wait = false, follow = false;
};

struct RunsOptions {
  std::string workflow, status, since;
  std::int64_t limit = 50;
};

struct LogsOptions {
  std::string run, task;  // JOB/TASK; empty: all
  bool follow = false;
};

struct ResumeOptions {
  std::string run;
  bool plain = false;
};

// --data, else PAWL_DATA, else below XDG_DATA_HOME or HOME; empty if none of these is known.
std::string data_folder(const Common& common);

// name and value of each k=v, or what is wrong with one.
struct Inputs {
  std::vector<std::pair<std::string, std::string>> values;
  std::string problem;
};
Inputs split_inputs(const std::vector<std::string>& texts);

}  // namespace pawl::cli
