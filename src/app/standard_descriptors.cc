#include "app/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace pawl::app {

void open_standard_descriptors() {
  for (const int wanted : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(wanted, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is the wanted one: those below it are open by now.
    int opened = ::open("/dev/null", wanted == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    // Reading or writing a folder fails, too, and `/` exists even in an empty chroot.
    if (opened < 0) opened = ::open("/", O_RDONLY | O_DIRECTORY);
    if (opened != wanted) ::_exit(1);
  }
}

}  // namespace pawl::app
