"""What is simulated is what runs: the simulator and the server link the same libraries of driver and engine."""

import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"


def linked(target):
    """The archives that go into a program, as ninja knows them, archives of archives included."""
    answer = subprocess.run(["ninja", "-C", str(BUILD), "-t", "inputs", target], capture_output=True, text=True)
    if answer.returncode != 0:  # ninja before 1.11 has no such tool
        raise AssertionError(answer.stderr)
    return {line.strip() for line in answer.stdout.splitlines() if line.strip().endswith(".a")}


class Links(unittest.TestCase):
    def test_the_simulator_links_the_driver_and_engine_of_the_server(self):
        server, simulator = linked("pawl"), linked("pawl_sim")
        for room in ("base", "model", "expression", "definition", "engine", "store", "driver"):
            archive = f"src/libpawl_{room}.a"
            self.assertIn(archive, server)
            self.assertIn(archive, simulator)

    def test_the_simulator_compiles_none_of_their_sources_itself(self):
        answer = subprocess.run(["ninja", "-C", str(BUILD), "-t", "query", "pawl_sim"], capture_output=True, text=True)
        objects = [line for line in answer.stdout.splitlines() if line.strip().endswith(".o")]
        self.assertEqual([line.strip() for line in objects], ["sim/CMakeFiles/pawl_sim.dir/main.cc.o"])


if __name__ == "__main__":
    unittest.main()
