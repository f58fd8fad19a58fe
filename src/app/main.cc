// The program: one binary for server, command line and the guard of task processes.
#include <unistd.h>

#include <cstring>

#include "app/examine.h"
#include "app/serve.h"
#include "app/standard_descriptors.h"
#include "cli/cli.h"
#include "runner/process/process_runner.h"

int main(int argc, char** argv) {
  pawl::app::open_standard_descriptors();
  // Before the rest: the guard starts no thread and reads no configuration.
  if (argc >= 2 && std::strcmp(argv[1], "__guard") == 0) _exit(pawl::runner::guard_main({argv + 2, argv + argc}));
  return pawl::cli::run({argv + 1, argv + argc}, {.serve = pawl::app::serve,
                                                  .local = pawl::app::open_local,
                                                  .examine = pawl::app::examine,
                                                  .at_once = pawl::app::examine_at_once});
}
