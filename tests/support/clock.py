"""A server whose machine's clock is set by the test: libfaketime lies to it about CLOCK_REALTIME and leaves the other clocks
as they are."""

import glob
import pathlib
import unittest

from support.pawl import Server


class SetClock:
    """For a class of servers."""

    def __init__(self, *arguments, **options):
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not libraries:
            raise unittest.SkipTest("libfaketime is not installed")
        super().__init__(*arguments, **options)
        self.control = self.folder / "clock"
        self.set_clock(0)
        self.environment |= {"LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": str(self.control),
                             "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}

    def set_clock(self, seconds):
        """So much ahead of the true time, from now on."""
        self.ahead = round(seconds)
        fresh = self.control.with_suffix(".new")
        fresh.write_text(f"{self.ahead:+d}\n")
        fresh.replace(self.control)

    def away_for(self, seconds):
        """kill -9, and so much later a new server in its place."""
        self.kill()
        self.set_clock(self.ahead + seconds)
        self.start()

    def close(self):
        super().close()
        # libfaketime leaves something behind of a process that was killed.
        for path in pathlib.Path("/dev/shm").glob("*faketime_*_[0-9]*"):
            if not pathlib.Path(f"/proc/{path.name.rpartition('_')[2]}").exists():
                path.unlink(missing_ok=True)


class ClockedServer(SetClock, Server):
    pass
