"""That the names of points are read right from what strace writes, and that the choice of points is fair."""

import unittest

from kill import exact, run, tracing

DATA = "/tmp/w/data"
TRACE = """\
71 pwrite64(5</tmp/w/data/pawl.db-wal>, ""..., 24, 32) = 24
72 write(8<anon_inode:[eventfd]>, ""..., 8) = 8
71 openat(AT_FDCWD</tmp/w>, "/etc/localtime", O_RDONLY|O_CLOEXEC) = 3
71 openat(AT_FDCWD</tmp/w>, "/tmp/w/data/logs/0d/r.log", O_RDWR|O_CREAT|O_NOFOLLOW, 0600) = 9
72 pwrite64(9</tmp/w/data/logs/0d/r.log>, ""..., 9, 0 <unfinished ...>
71 pwrite64(5</tmp/w/data/pawl.db-wal>, ""..., 4096, 56) = ?
72 <... pwrite64 resumed>) = ?
72 +++ killed by SIGKILL +++
"""


class Trace(unittest.TestCase):
    def victim(self, syscall, when, text=TRACE):
        return tracing.victim(text, syscall, when, DATA, 7295)

    def test_the_victim_is_the_first_thread_with_so_many_calls(self):
        self.assertEqual(self.victim("pwrite64", 1), ("71", "pawl.db-wal", 1, True))
        self.assertEqual(self.victim("pwrite64", 2), ("71", "pawl.db-wal", 2, True))

    def test_a_file_that_is_opened_for_reading_is_no_point(self):
        self.assertEqual(self.victim("openat", 1), ("71", "opened for reading", 1, False))
        self.assertEqual(self.victim("openat", 2), ("71", "run log", 1, True))

    def test_who_was_killed_is_read_whatever_the_length_of_the_numbers(self):
        text = ("4142  kill(-4150, SIGKILL)              = ?\n4142  +++ killed by SIGKILL +++\n"
                "4078  +++ exited with 0 +++\n1234567 +++ killed by SIGKILL +++\n"
                "9134  kill(9214, SIGCONT <detached ...>\n9135  wait4(-1,  <detached ...>\n")
        self.assertEqual(tracing.killed(text, "kill"), ["4142", "1234567", "9134"])

    def test_who_was_not_killed_is_no_victim(self):
        self.assertIsNone(self.victim("pwrite64", 1, TRACE.replace("killed by", "exited with")))
        self.assertIsNone(self.victim("pwrite64", 9))

    def test_files_have_their_names(self):
        for name, rest, group in (
                ("write", "8<anon_inode:[eventfd]>, ", "wake-up"), ("sendto", "22<UNIX-STREAM:[1->2]>, ", "wake-up"),
                ("sendmsg", "26<UNIX:[1->2]>, {", "guard socket"),
                ("write", "27</memfd:pawl-request>(deleted), ", "task request"),
                ("sendmsg", "24<TCP:[127.0.0.1:7295->127.0.0.1:51564]>, {", "API socket"),
                ("sendto", "24<TCP:[127.0.0.1:51564->127.0.0.1:80]>, ", "peer socket"),
                ("mkdirat", '24</tmp/w/data/workspace>, "01a2", 0700) = 0', "workspace"),
                ("fsync", "24</tmp/w/data>) = 0", "data folder"), ("fsync", "24</tmp/w/data/logs/0d>) = 0", "run log"),
                ("rename", '"/tmp/w/data/admin.token.x1", "/tmp/w/data/admin.token") = 0', "admin.token"),
                ("mkdir", '"/sys/fs/cgroup/pids/pawl-1", 0755) = 0', "cgroup"),
                ("write", "2</tmp/w/server.log>, ", "server's own log"), ("wait4", "-1, ", "processes")):
            self.assertEqual(tracing.file_class(tracing.Call(None, name, rest), DATA, 7295), group)


class Choice(unittest.TestCase):
    def points(self):
        rows = {"fsync": 3, "pwrite64": 200, "sendmsg": 40}
        return [exact.Point("A", "run", "pawl-engine", name, n) for name, count in rows.items()
                for n in range(1, count + 1)]

    def test_rare_calls_are_all_taken_and_the_others_from_end_to_end(self):
        chosen = [str(point) for point in exact.choose(self.points(), 63)]
        self.assertEqual(len(set(chosen)), 63)
        self.assertEqual(sum("fsync" in point for point in chosen), 3)
        taken = [int(point.split(":")[-1]) for point in chosen if "pwrite64" in point]
        self.assertEqual(len(taken), 30)
        self.assertLess(max(b - a for a, b in zip([0, *taken], [*taken, 200])), 8)

    def test_the_choice_is_the_same_each_time(self):
        one, two = ([str(point) for point in exact.choose(self.points(), 63)] for _ in range(2))
        self.assertEqual(one, two)

    def test_without_a_limit_all_are_taken(self):
        self.assertEqual(len(exact.choose(self.points(), None)), 243)

    def test_a_point_is_found_again_by_its_name(self):
        for text in ("A:run:pawl-engine:pwrite64:112", "B:start:*:fsync:2"):
            self.assertEqual(str(exact.Point.parse(text)), text)


class Verdict(unittest.TestCase):
    def result(self, **more):
        strace = {"calls": {"A:run": 500, "B:run": 200}, "violations": [], "distinct": 500} | more
        return {"strace": strace, "random": {"wanted": 200, "cycles": 200, "violations": []}, "whole": True}

    def failed(self, result):
        return [name for name, good in run.judge(result) if not good]

    def test_all_is_well(self):
        self.assertEqual(self.failed(self.result()), [])

    def test_too_few_points_or_kills_fail(self):
        self.assertEqual(self.failed(self.result(distinct=499)), ["at least 500 distinct points of the server"])
        result = self.result()
        result["random"]["cycles"] = 199
        self.assertEqual(self.failed(result), ["200 random kills"])

    def test_a_violation_fails_its_phase(self):
        self.assertEqual(self.failed(self.result(violations=[{"point": "B:run:x:fsync:1"}])), ["kill at calls of B:run"])


if __name__ == "__main__":
    unittest.main()
