// Descriptors 0 to 2, which every program takes for its standard input, output and error.
#pragma once

namespace pawl::app {

// Opens /dev/null for those that are closed, so that no file or socket of ours gets such a number, and with it what is
// printed. Standard input is opened for writing and the others for reading: using them fails with EBADF, as if they
// were closed, so a command notices that its answer was not written. Call it before anything is opened.
void open_standard_descriptors();

}  // namespace pawl::app
