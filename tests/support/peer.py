"""An HTTP peer that does as a test tells it: answers, fails, hangs, breaks off, talks nonsense; and remembers every call."""

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Call:
    """One request as it came in. `number` counts the calls of its path from 1."""

    def __init__(self, path, headers, body, number):
        self.path, self.headers, self.body, self.number = path, headers, body, number
        self.key = headers.get("Idempotency-Key")
        self.trace = headers.get("X-Request-ID")
        self.at = time.monotonic()
        self.answered = None  # when, or None as long as it is open

    @property
    def json(self):
        return json.loads(self.body)


class Peer:
    """Listens on 127.0.0.1. `on(path, behaviour)` sets what a path does; others answer {"success": true, "data": {}}.

    A behaviour is called with the Call and gives (status, JSON value), or one of the acts below.
    """

    def __init__(self, port=0):
        peer = self
        self.calls = []
        self.behaviours = {}
        self.lock = threading.Condition()
        self.closing = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, ValueError):
                    self.close_connection = True

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = peer.record(self.path.split("?")[0], self.headers, body)
                act = peer.behaviours.get(call.path, ok)(call)
                if not callable(act):
                    act = reply(*act)
                if not act(self, peer):
                    self.close_connection = True
                with peer.lock:
                    call.answered = time.monotonic()
                    peer.lock.notify_all()

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass

        self.server = Listener(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def on(self, path, behaviour):
        self.behaviours[path] = behaviour
        return self

    def record(self, path, headers, body):
        with self.lock:
            call = Call(path, headers, body, 1 + sum(c.path == path for c in self.calls))
            self.calls.append(call)
            self.lock.notify_all()
            return call

    def of(self, path):
        with self.lock:
            return [call for call in self.calls if call.path == path]

    def wait_calls(self, path, count=1, seconds=20):
        """The calls of `path` once there are `count` of them."""
        with self.lock:
            if not self.lock.wait_for(lambda: sum(c.path == path for c in self.calls) >= count, seconds):
                raise TimeoutError(f"{path} was not called {count} times in {seconds} s: {[c.path for c in self.calls]}")
        return self.of(path)

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- behaviours and acts --------------------------------------------------------------------------------------------


def ok(_call):
    return 200, {"success": True, "data": {}}


def reply(status, value):
    def act(handler, _peer):
        text = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
        return True

    return act


def after(seconds, behaviour=ok):
    """A behaviour that takes its time."""

    def slow(call):
        def act(handler, peer):
            peer.closing.wait(seconds)
            then = behaviour(call)
            return (then if callable(then) else reply(*then))(handler, peer)

        return act

    return slow


def hang(_call):
    """Takes the request and never says anything."""

    def act(_handler, peer):
        peer.closing.wait(300)
        return False

    return act


def reset(_call):
    """Breaks the connection off with a TCP reset."""

    def act(handler, _peer):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # makefile() still holds the socket: without this the reset would wait for the garbage collector.
        handler.rfile.close()
        handler.connection.close()
        return False

    return act


def nonsense(_call):
    """Answers with bytes that are no HTTP."""

    def act(handler, _peer):
        handler.wfile.write(b"\x00\xff\xfeHELO this is not what you are looking for\r\n\r\n" * 3)
        return False

    return act


def raw(*parts, then="close"):
    """Answers with these bytes as they are. `then`: close, hang, reset; or every: the last part again each second."""

    def behaviour(_call):
        def act(handler, peer):
            for part in parts:
                handler.wfile.write(part)
            while then == "every" and not peer.closing.wait(1):
                handler.wfile.write(parts[-1])
            if then == "hang":
                peer.closing.wait(300)
            return reset(_call)(handler, peer) if then == "reset" else False

        return act

    return behaviour


def endless(head, part):
    """Sends `head`, then `part` again and again until nobody listens any more. `sent` counts the bytes."""

    def behaviour(_call):
        def act(handler, peer):
            handler.wfile.write(head)
            while not peer.closing.is_set():
                handler.wfile.write(part)
                behaviour.sent += len(part)
            return False

        return act

    behaviour.sent = 0
    return behaviour


def redirect(target):
    """Sends the caller on to `target`, or to what `target(call)` says."""

    def behaviour(call):
        def act(handler, _peer):
            handler.send_response(302)
            handler.send_header("Location", target(call) if callable(target) else target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True

        return act

    return behaviour


def huge(size):
    """Answers with `size` bytes of text."""

    def behaviour(_call):
        def act(handler, peer):
            handler.send_response(200)
            handler.send_header("Content-Type", "text/plain")
            handler.send_header("Content-Length", str(size))
            handler.end_headers()
            block, left = b"x" * 65536, size
            while left > 0 and not peer.closing.is_set():
                handler.wfile.write(block[: min(left, len(block))])
                left -= len(block)
            return False

        return act

    return behaviour


def first(times, behaviour, then=ok):
    """The first `times` calls of the path do one thing, later ones another."""
    return lambda call: (behaviour if call.number <= times else then)(call)


def status(code):
    return lambda _call: (code, {"success": False, "message": "out of order"})


def unsuccessful(_call):
    return 200, {"success": False}
