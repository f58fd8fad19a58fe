"""Peers that hang, break off, talk nonsense or never stop talking: the task fails, the server does not. And whom the
server calls at all."""

import gzip
import pathlib
import unittest

from support.definitions import http, workflow
from support.peer import Peer, endless, hang, huge, nonsense, raw, redirect, reset
from support.pawl import Server, cli, tasks_of

OK = b"HTTP/1.1 200 OK\r\n"


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def error_of(server, name, task, values=None, **more):
    """The error of the one task of a workflow, run on the server with these inputs; None if it has none."""
    server.apply(workflow(name, task, **more))
    run = server.wait_run(server.start_run(name, values)["id"])
    return tasks_of(run["attempts"][0])["main/x"].get("error")


class HostilePeer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def outcome(self, name, behaviour, **more):
        self.peer.on("/x", behaviour)
        self.server.apply(workflow(name, http("x", f"{self.peer.url}/x", **more)))
        run = self.server.wait_run(self.server.start_run(name, {})["id"])
        self.assertTrue(self.server.is_ready())
        task = tasks_of(run["attempts"][0])["main/x"]
        return task["status"], task["error"]["code"], task["error"]["message"]

    def test_one_that_hangs_ends_at_the_timeout(self):
        status, code, _ = self.outcome("hangs", hang, timeout="500ms")
        self.assertEqual((status, code), ("failed", "timeout"))

    def test_the_request_s_own_timeout_counts_too(self):
        status, code, _ = self.outcome("hangs-request", hang, timeout="1m", http_timeout="300ms")
        self.assertEqual((status, code), ("failed", "timeout"))

    def test_one_that_resets(self):
        self.assertEqual(self.outcome("resets", reset)[0], "failed")

    def test_one_that_talks_nonsense(self):
        self.assertEqual(self.outcome("nonsense", nonsense)[0], "failed")

    def test_one_whose_answer_is_no_JSON(self):
        def text(_call):
            def act(handler, _peer):
                handler.send_response(200)
                handler.send_header("Content-Type", "application/json")
                handler.send_header("Content-Length", "9")
                handler.end_headers()
                handler.wfile.write(b'{"succes\xff')
                return True

            return act

        self.assertEqual(self.outcome("no-json", text)[0], "failed")

    def test_a_hundred_megabytes_cost_no_memory(self):
        status, _, _ = self.outcome("huge", huge(100 << 20), timeout="30s")
        self.assertEqual(status, "failed")
        self.assertLess(resident_mib(self.server.process.pid), 200)

    def test_ten_gigabytes_are_cut_off_after_a_little(self):
        for name, head in (("ten-gigabytes", b"Content-Length: 10737418240\r\n\r\n"), ("no-end", b"\r\n")):
            flood = endless(OK + head, b"x" * 65536)
            status, code, message = self.outcome(name, flood, timeout="30s")
            self.assertEqual((status, code), ("failed", "response_too_large"), message)
            self.assertLess(flood.sent, 64 << 20)
        self.assertLess(resident_mib(self.server.process.pid), 200)

    def test_a_bomb_of_gzip_counts_as_what_comes_out_of_it(self):
        bomb = gzip.compress(bytes(100 << 20))
        self.assertLess(len(bomb), 1 << 20)
        head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        status, code, message = self.outcome("bomb", raw(head + bomb), timeout="30s")
        self.assertEqual((status, code), ("failed", "response_too_large"), message)
        self.assertLess(resident_mib(self.server.process.pid), 200)

    def test_a_header_without_end(self):
        for name, line in (("many-headers", b"X-More: yes\r\n"), ("long-header", b"x" * 16)):
            _, code, message = self.outcome(name, endless(OK + b"X: ", line * 1000), timeout="30s")
            self.assertEqual(code, "response_too_large", message)

    def test_one_that_drips_ends_at_the_timeout(self):
        for name, behaviour in (("drips-body", raw(OK + b"Content-Length: 100000\r\n\r\n", b"x", then="every")),
                                ("drips-header", raw(OK, b"X: y\r\n", then="every")),
                                ("half-a-header", raw(b"HTTP/1.1 200 OK\r\nContent-Le", then="hang"))):
            status, code, message = self.outcome(name, behaviour, timeout="1500ms")
            self.assertEqual((status, code), ("failed", "timeout"), message)

    def test_one_that_breaks_off(self):
        for name, behaviour, expected in (
                ("half-header", raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "invalid_response"),
                ("half-body", raw(OK + b"Content-Length: 10\r\n\r\nabc"), "connection_failed"),
                ("reset-body", raw(OK + b"Content-Length: 10\r\n\r\nabc", then="reset"), "connection_failed")):
            _, code, message = self.outcome(name, behaviour)
            self.assertEqual(code, expected, message)

    def test_chunks_and_lengths_that_make_no_sense(self):
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
        for name, answer in (("chunk-sign", chunked + b"-1\r\nabc"), ("chunk-word", chunked + b"zz\r\nabc"),
                             ("chunk-huge", chunked + b"f" * 20 + b"\r\nabc"),
                             ("chunk-longer", chunked + b"3\r\nabcdef\r\n0\r\n\r\n"),
                             ("two-lengths", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")):
            _, code, message = self.outcome(name, raw(answer))
            self.assertEqual(code, "invalid_response", message)

    def test_a_thousand_redirects_are_ten(self):
        self.peer.on("/x", redirect(lambda call: f"/x?hop={call.number}"))
        error = error_of(self.server, "redirects", http("x", f"{self.peer.url}/x", http_follow_redirects=True))
        self.assertEqual(error["code"], "too_many_redirects", error)
        self.assertEqual(len(self.peer.of("/x")), 11)

    def test_a_redirect_to_what_is_no_HTTP(self):
        for number, target in enumerate(("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:70/_x")):
            self.peer.on("/x", redirect(target))
            error = error_of(self.server, f"scheme-{number}", http("x", f"{self.peer.url}/x", http_follow_redirects=True))
            self.assertEqual(error["code"], "invalid_response", error)
            self.assertIn("only http and https", error["message"])

    def test_a_line_break_out_of_an_expression_is_sent_to_nobody(self):
        evil = "a\r\nEvil: 1"
        for number, more in enumerate(({"http_headers": {"X-Tag": "${{ inputs.v }}"}},
                                       {"http_headers": {"Authorization": "Bearer ${{ inputs.v }}"}})):
            error = error_of(self.server, f"crlf-{number}", http("x", f"{self.peer.url}/x", **more), {"v": evil},
                             inputs={"v": {"type": "string"}})
            self.assertEqual(error["code"], "invalid_request", error)
        error = error_of(self.server, "crlf-url", http("x", "${{ inputs.v }}"), {"v": f"{self.peer.url}/x\r\nEvil: 1"},
                         inputs={"v": {"type": "string"}})
        self.assertEqual(error["code"], "invalid_request", error)
        self.assertEqual(self.peer.calls, [])

    def test_hundreds_that_hang_do_not_stop_another(self):
        self.peer.on("/x", hang)
        self.server.apply(workflow("crowd", http("x", f"{self.peer.url}/x", timeout="20s")))
        crowd = [self.server.start_run("crowd", {})["id"] for _ in range(200)]
        self.peer.wait_calls("/x", 200)
        self.server.apply(workflow("alone", http("y", f"{self.peer.url}/y")))
        self.assertEqual(self.server.wait_run(self.server.start_run("alone", {})["id"], seconds=10)["status"], "success")
        for run in crowd:
            self.server.post(f"runs/{run}/cancel")
        for run in crowd:
            self.assertEqual(self.server.wait_run(run)["status"], "cancelled")


class Egress(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.count = 0

    def serve(self, *arguments, **options):
        server = Server(arguments, **options).start()
        self.addCleanup(server.close)
        return server

    def error(self, server, url, **more):
        self.count += 1
        return error_of(server, f"call-{self.count}", http("x", url, timeout="5s", **more))

    def assert_denied(self, error, rule):
        self.assertIsNotNone(error, "the call was made")
        self.assertEqual((error["code"], error["cause"]["rule"]), ("egress_denied", rule), error)

    def test_a_server_on_loopback_calls_its_neighbours_but_no_metadata_and_not_itself(self):
        server = self.serve()
        self.assertIsNone(self.error(server, f"{self.peer.url}/x"))
        for url in ("http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/",
                    "http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/"):
            self.assert_denied(self.error(server, url), "metadata")
        self.assert_denied(self.error(server, "http://169.254.1.1/"), "link-local")
        self.assert_denied(self.error(server, f"http://0:{self.peer.port}/x"), "unspecified")
        for host in ("127.0.0.1", "2130706433", "0x7f.1", "0"):
            self.assert_denied(self.error(server, f"http://{host}:{server.port}/healthz"), "self")
        # On a machine with IPv6 the other address of localhost is tried, and nobody listens there.
        self.assertIn("is this server itself", self.error(server, f"http://localhost:{server.port}/healthz")["message"])
        self.peer.on("/away", redirect("http://169.254.169.254/latest/"))
        self.peer.on("/back", redirect(f"{server.url}/healthz"))
        for path, rule in (("away", "metadata"), ("back", "self")):
            self.assert_denied(self.error(server, f"{self.peer.url}/{path}", http_follow_redirects=True), rule)

    def test_a_server_for_others_calls_no_neighbour_until_it_is_allowed(self):
        server = self.serve(listen="0.0.0.0")
        error = self.error(server, f"{self.peer.url}/x")
        self.assert_denied(error, "loopback")
        self.assertIn("--egress-allow loopback", error["message"])
        self.assert_denied(self.error(server, f"http://127.0.0.1:{server.port}/healthz"), "self")
        self.assert_denied(self.error(server, "http://10.0.0.1/"), "private")
        self.assertEqual(self.peer.calls, [])
        server.close()
        self.assertIsNone(self.error(self.serve("--egress-allow", "127.0.0.1", listen="0.0.0.0"), f"{self.peer.url}/x"))

    def test_a_deny_beats_an_allow(self):
        server = self.serve("--egress-allow", "any", "--egress-deny", "127.0.0.0/8")
        self.assert_denied(self.error(server, f"{self.peer.url}/x"), "127.0.0.0/8")
        self.assertEqual(self.peer.calls, [])

    def test_a_server_may_be_allowed_to_call_itself(self):
        server = self.serve("--egress-allow", "self")
        self.assertIsNone(error_of(server, "itself", {"id": "x", "http": {"url": f"{server.url}/healthz"}}))

    def test_pawl_run_has_the_same_policy(self):
        server = self.serve()
        file = server.folder / "one.yaml"
        file.write_text(workflow("one", http("x", f"{self.peer.url}/x")))
        self.assertEqual(cli("run", file, "--data", server.folder / "a").returncode, 0)
        denied = cli("run", file, "--data", server.folder / "b", "--egress-deny", "loopback")
        self.assertEqual(denied.returncode, 1)
        self.assertIn("denied by --egress-deny loopback", denied.stdout)
        self.assertEqual(len(self.peer.calls), 1)

    def test_a_wrong_value_is_wrong_usage(self):
        server = self.serve()
        file = server.folder / "one.yaml"
        file.write_text(workflow("one", http("x", f"{self.peer.url}/x")))
        for command in (("serve", "--listen", "127.0.0.1:0"), ("run", file)):
            for option in ("--egress-allow", "--egress-deny"):
                done = cli(*command, "--data", server.folder / "new", option, "10.0.0.1/8")
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(f"pawl: {option} 10.0.0.1/8: ", done.stderr)
                self.assertIn("write 10.0.0.0/8", done.stderr)
        self.assertFalse((server.folder / "new").exists())


if __name__ == "__main__":
    unittest.main()
