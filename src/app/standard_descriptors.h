// Descriptors 0 to 2, which every program takes for its standard input, output and error.
#pragma once

namespace pawl::app {

// Gives those that are closed to /dev/null, so that no file or socket of ours gets such a number and what is printed. It
// is opened the wrong way round: reading standard input or writing the others fails with EBADF, as if they were closed,
// and a command that printed an answer learns that nobody got it. To be called before anything is opened.
void open_standard_descriptors();

}  // namespace pawl::app
