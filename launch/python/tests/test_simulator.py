"""A function as the simulator: line by line, and asked by the program."""

import os
import subprocess
import sys
import unittest

from program import TABLE, room, run

FAILING = """
import subprocess, sys
import eki_mpi

def simulate(growth, capacity):
    print("a word of the function's own")
    subprocess.run(["cat"])  # would eat the questions
    if growth > 1:
        raise ArithmeticError("too\\nfast")
    return {"b": capacity, "a": growth}

eki_mpi.simulator(simulate, names=["growth", "capacity"], outputs=OUTPUTS)
"""


def answers(code: str, questions: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Asks the simulator that `code` is."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], input=questions, capture_output=True, text=True, env=environment, check=False
    )


class Simulated(unittest.TestCase):
    def test_numbers_read_back_to_the_bit(self) -> None:
        code = "import eki_mpi; eki_mpi.simulator(lambda x, y: [x / 3, float('nan'), 2])"
        ended = answers(code, "0.1 1e300\n17 -0.0 1.0\n")
        self.assertEqual(ended.stdout.splitlines(), [f"{0.1 / 3!r} nan 2.0", "17 -0.0 nan 2.0"])
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_what_a_function_prints_and_raises_stays_apart_from_answers(self) -> None:
        ended = answers(FAILING.replace("OUTPUTS", "['a', 'b']"), "0.5 2.0\n1.5 2.0\n9 1.5 2.0\n0.25 2.0\n")
        failed = "failed: ArithmeticError: too fast"
        self.assertEqual(ended.stdout.splitlines(), ["0.5 2.0", failed, "9 " + failed, "0.25 2.0"])
        self.assertIn("a word of the function's own", ended.stderr)
        self.assertIn("Traceback", ended.stderr)

    def test_outputs_by_name_take_the_order_of_the_table(self) -> None:
        with room():
            for text in ("Name;value;set\na;1;x\nb;2;y\nb;3;x\n", "# of one year\nname value set\na 1 x\nb 2 y\nb 3 x\n"):
                with open("observed.csv", "w") as file:
                    file.write(text)
                code = FAILING.replace("OUTPUTS", "'observed.csv'")
                self.assertEqual(answers(code, "0.5 2.0\n", EKI_SET="x").stdout, "0.5 2.0\n")
                self.assertEqual(answers(code, "0.5 2.0\n", EKI_SET="y").stdout, "2.0\n")
        self.assertIn("failed: KeyError", answers(FAILING.replace("OUTPUTS", "['a', 'c']"), "0.5 2.0\n").stdout)
        self.assertIn("need their order", answers(FAILING.replace("OUTPUTS", "None"), "0.5 2.0\n").stdout)
        self.assertIn("2 names were given", answers(FAILING.replace("OUTPUTS", "['a']"), "0.5 2.0 1.0\n").stdout)

    def test_each_set_has_its_function(self) -> None:
        code = "import eki_mpi; eki_mpi.simulator({'x': lambda u: u, 'y': lambda u: [u, 2 * u]})"
        self.assertEqual(answers(code, "0.5\n", EKI_SET="y").stdout, "0.5 1.0\n")
        refused = answers(code, "0.5\n", EKI_SET="z")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("no function for the set of observations 'z'; there are 'x', 'y'", refused.stderr)

    def test_the_program_asks_by_number_and_counts_failures(self) -> None:
        with room() as folder:
            (folder / "model.py").write_text(
                "import eki_mpi\nfrom program import simulate\n\n"
                "def fragile(growth, capacity):\n    print('asked')\n"
                "    if capacity > 9:\n        raise OverflowError('capacity')\n"
                "    return simulate(growth, capacity)\n\neki_mpi.simulator(fragile)\n"
            )
            lines = ["name,value,deviation", *(f"{n},{v},{d}" for n, v, d in zip(*TABLE.values()))]
            (folder / "observed.csv").write_text("\n".join(lines) + "\n")
            (folder / "mine.toml").write_text(
                'preset = "process"\n[model]\nnumbered = true\ncommand = ["python3", "model.py"]\n'
                'prior = ["growth lognormal 1.0 0.5", "capacity uniform 0.5 10"]\n[data]\nobservations = "observed.csv"\n'
            )
            tried = run("check-model", "mine.toml")
            self.assertEqual(tried.returncode, 0, tried.stdout + tried.stderr)
            ended = run("run", "mine.toml", "--out", "fit", "--set", "run.steps=2")
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertIn("OverflowError: capacity", (folder / "fit" / "run.log").read_text())


if __name__ == "__main__":
    unittest.main()
