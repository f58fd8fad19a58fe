// An HTTP server that does next to nothing, and a client to drive it: the ceiling of HTTP on this machine. One thread
// each, epoll, kept connections; understands what our clients send (Content-Length bodies) and no more.
#pragma once

#include <string>

namespace pawl::bench {

// Answers every request on 127.0.0.1 with `{"ok":true}` until standard input ends. Prints "listening PORT" once.
// `port` 0: a free one. Returns the exit code.
int serve_echo(int port);

// `connections` clients that POST one after the other, for `seconds`: answers a second.
double drive_echo(int port, int connections, double seconds);

}  // namespace pawl::bench
