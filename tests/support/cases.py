"""What test cases of runs share: a peer and a server of one's own, and short words for what is asked of them."""

import threading
import unittest
from urllib.parse import quote

from support.definitions import workflow
from support.pawl import Refused, Server, tasks_of, verdict, wait_until
from support.peer import Peer, ok, reply


class Gate:
    """A behaviour of a peer: calls stay open until open()."""

    def __init__(self, then=ok):
        self.then = then
        self.opened = threading.Event()

    def open(self):
        self.opened.set()

    def __call__(self, call):
        def act(handler, peer):
            while not self.opened.wait(0.02):
                if peer.closing.is_set():
                    return False
            then = self.then(call)
            return (then if callable(then) else reply(*then))(handler, peer)

        return act


class Case(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.server = Server()
        self.addCleanup(self.server.close)
        self.server.start()

    def url(self, path):
        return f"{self.peer.url}/{path}"

    def crash(self):
        """kill -9, and a new server in its place."""
        self.server.kill()
        self.server.start()

    def apply(self, name, *tasks, **more):
        self.server.apply(workflow(name, *tasks, **more))

    def begin(self, name, *tasks, **more):
        """Applies the workflow and starts it; the run's id."""
        self.apply(name, *tasks, **more)
        return self.server.start_run(name)["id"]

    def waiting_for(self, run, what, attempt=None):
        """The run once it waits for that."""
        return self.wait_for(run, lambda now: now.get("waits_for") == what and attempt in (None, now["attempt"]))

    def wait_for(self, run, condition):
        found = {}

        def reached():
            found["run"] = self.server.run(run)
            return condition(found["run"])

        wait_until(reached, 20, lambda: f"a run, last seen {found['run']}")
        return found["run"]

    def calls(self, path):
        return len(self.peer.of(path))

    def bodies(self, path):
        return [call.json for call in self.peer.of(path)]

    def answer(self, run, task, what, **body):
        """approve, reject or release of job/task."""
        job, name = task.rsplit("/", 1)
        return self.server.post(f"runs/{run}/tasks/{quote(job, safe='')}/{name}/{what}", body)

    def refused(self, status, code, call, *arguments, **options):
        with self.assertRaises(Refused) as caught:
            call(*arguments, **options)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code), caught.exception)
        return caught.exception.problem

    def verdicts(self, run, attempt=-1):
        """{"job/task": verdict} of one attempt of a run."""
        return {name: verdict(task) for name, task in tasks_of(run["attempts"][attempt]).items()}

    def one_wins(self, *acts):
        """Does all of them at once; the answers: None of the one that was accepted, (status, code) of the others."""
        start = threading.Barrier(len(acts))
        answers = [None] * len(acts)

        def ask(number, act):
            start.wait()
            try:
                act()
            except Refused as refusal:
                answers[number] = (refusal.status, refusal.code)

        threads = [threading.Thread(target=ask, args=one) for one in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers.count(None), 1, answers)
        return answers
