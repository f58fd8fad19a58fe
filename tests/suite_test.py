import unittest

import suite
from suite import instructions

LIST = """Running main() from gtest_main.cc
Retry.
  AFailedTryWaits
  DISABLED_Old
Store/0.  # TypeParam = Memory
  Keeps
Zones/Calendar.
  Reads/0  # GetParam() = "Asia/Seoul"
  Reads/1  # GetParam() = "UTC"
"""
OUTPUT = """[ RUN      ] Retry.AFailedTryWaits
no line end here[       OK ] Retry.AFailedTryWaits (3 ms)
[ RUN      ] Store/0.Keeps
x_test.cc:3: Skipped
needs root
[  SKIPPED ] Store/0.Keeps (0 ms)
[ RUN      ] Zones/Calendar.Reads/0
x_test.cc:9: Failure
[  FAILED  ] Zones/Calendar.Reads/0, where GetParam() = "Asia/Seoul" (1 ms)
[ RUN      ] Zones/Calendar.Reads/1
"""


class GoogleTest(unittest.TestCase):
    def test_names_are_read_from_the_listing(self):
        self.assertEqual(suite.read_gtest_list(LIST), ["Retry.AFailedTryWaits", "Retry.DISABLED_Old", "Store/0.Keeps",
                                                       "Zones/Calendar.Reads/0", "Zones/Calendar.Reads/1"])

    def test_every_test_gets_its_verdict_and_one_that_never_ended_failed(self):
        counts = suite.read_gtest_output(suite.read_gtest_list(LIST), OUTPUT)
        self.assertEqual(counts.passed, ["Retry.AFailedTryWaits"])
        self.assertEqual(counts.failed, ["Zones/Calendar.Reads/0", "Zones/Calendar.Reads/1"])
        self.assertEqual(counts.skipped, [("Retry.DISABLED_Old", "disabled in its source"),
                                          ("Store/0.Keeps", "x_test.cc:3: Skipped needs root")])

    def test_no_output_at_all_is_no_success(self):
        self.assertEqual(len(suite.read_gtest_output(["A.B", "A.C"], "").failed), 2)


class Instructions(unittest.TestCase):
    def test_the_count_is_read_from_what_callgrind_wrote(self):
        self.assertEqual(instructions.read_count("version: 1\nevents: Ir\nsummary: 123456\nfn=(1) main\n"), 123456)
        with self.assertRaises(instructions.Failure):
            instructions.read_count("version: 1\n")

    def test_up_to_five_percent_more_passes_and_beyond_fails(self):
        self.assertTrue(instructions.judge("chain", 1_050_000, 1_000_000)[0])
        good, sentence = instructions.judge("chain", 1_050_001, 1_000_000)
        self.assertFalse(good)
        self.assertIn("--rebase", sentence)

    def test_a_gain_passes_and_is_told_to_be_held(self):
        self.assertEqual(instructions.judge("chain", 990_000, 1_000_000),
                         (True, "chain: 990,000 instructions, -1.00% against the baseline of 1,000,000"))
        good, sentence = instructions.judge("chain", 900_000, 1_000_000)
        self.assertTrue(good)
        self.assertIn("would hold the gain", sentence)

    def test_a_workload_without_baseline_fails(self):
        self.assertFalse(instructions.judge("new", 1, None)[0])


if __name__ == "__main__":
    unittest.main()
