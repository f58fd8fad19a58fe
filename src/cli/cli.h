// The commands a person types. Parses the command line, talks to a server over HTTP or runs a workflow in this process,
// and prints. Exit codes: 0 fine, 1 the run failed or the thing is invalid, 2 wrong usage, 3 server unreachable,
// 4 refused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/options.h"
#include "driver/inbox.h"
#include "model/seat.h"
#include "store/log_store.h"
#include "store/reader.h"

namespace pawl::cli {

struct ServeOptions {
  std::string data;  // folder; made with its parents
  std::string listen = "127.0.0.1:7295";
  std::vector<std::string> pass_env;  // names of variables that `env` may see beside PAWL_VAR_*
  std::string workspace;  // empty: in the data folder
  std::string workflows;  // folder of definitions that is watched; empty: none
  Duration stop_timeout = std::chrono::seconds(30);
  bool json_log = false;
  TaskRules rules;
  std::string run_as;  // user that tasks run as; empty: the server's own
  std::string fence = "auto";  // how tasks are kept out of the data folder: auto, cover, landlock or off
};

// An engine in this process on a store of its own, for `pawl run` and the `pawl resume` of such a run.
class LocalEngine {
 public:
  virtual ~LocalEngine() = default;  // stops it
  virtual driver::Inbox& inbox() = 0;
  virtual driver::Histories& histories() = 0;
  virtual store::Reader& reader() = 0;
  virtual store::LogStore& logs() = 0;
  // See driver::Driver::seats(). Threads: any.
  virtual SeatCounts seats() const = 0;
  // Cuts off what runs, with the grace of its tasks, and joins. Histories, reader and logs can be read after it.
  virtual void stop() = 0;
};

// Files of a data folder that the commands look for: the store, and the token that only a server's folder has.
inline constexpr const char* store_file = "pawl.db";
inline constexpr const char* token_file = "admin.token";

// Which open run of a folder an engine takes up; nullopt: none. Called once, when the store is open and the engine has
// not begun. An error ends the opening and is its answer.
using TakesUp = std::function<Result<std::optional<RunId>>(store::Reader&)>;

// What `pawl doctor` has looked at, and found.
struct Finding {
  enum class State : std::uint8_t { fine, odd, wrong };  // odd: it works, but somebody should know
  std::string what;  // one word, such as `database`
  State state = State::fine;
  std::string text;
  std::string hint;  // what to do about it; may be empty
};

// What the program's wiring lends to the commands.
struct Hooks {
  // Runs the server until it is asked to stop; returns the exit code.
  std::function<int(const ServeOptions&)> serve;
  // Opens the folder (made when missing) and starts an engine that passes the caller's whole environment on as `env`.
  // The run that `takes_up` names goes on, and is recovered if it was cut off; all other open runs stay as they are.
  // `observer` must outlive the engine. Error: conflict, if another process holds the folder; invalid, with the name
  // `usage`, if a value of `rules` is wrong; unavailable, with the name `too_few_descriptors`, if the process has too
  // few for them. In these cases nothing was opened.
  std::function<Result<std::unique_ptr<LocalEngine>>(const std::string& folder, driver::Observer* observer,
                                                     const TakesUp& takes_up, const TaskRules& rules)>
      local;
  // What only the wiring can look at: the store in a data folder, if there is one, and how tasks would be held if they
  // ran as that user (empty: our own). Changes nothing.
  std::function<std::vector<Finding>(const std::string& data, const std::string& run_as)> examine;
  // How many tasks a server would run at once with the descriptors that this process is allowed.
  std::function<Finding(const AtOnce&)> at_once;
};

// `arguments` without the program's name. Prints to standard output and standard error.
int run(const std::vector<std::string>& arguments, const Hooks& hooks);

}  // namespace pawl::cli
