"""Asking and telling, against the program."""

import json
import unittest

import numpy

from eki_mpi import AskTell, ProgramError, Stopped

from program import MONTHS, OBSERVED, PRIOR, TABLE, room, run, simulate

SETTINGS = {"ensemble.members": 20, "run.steps": 4}


class Asked(unittest.TestCase):
    def test_a_loop_calibrates_and_goes_on_in_another_process(self) -> None:
        with room():
            steps = 0
            while True:
                # Described anew each time, as by a script that was killed and started again.
                asked = AskTell("fit", prior=PRIOR, observations=TABLE, settings=SETTINGS)
                members = asked.ask()
                if members is None:
                    break
                self.assertEqual((asked.names, members.shape), (["growth", "capacity"], (20, 2)))
                asked.tell([simulate(*u) for u in members])
                steps += 1
            fitted = asked.result()
            self.assertLess(abs(fitted.mean[1] - 3.0), 0.5)
            self.assertEqual(steps, fitted.summary["steps"])
            # Its bits are those of the program's own simulator.
            tables = "".join(f"[{n}]\n{t}\n" for n, t in {
                "model": f'command = ["python3", "model.py"]\nprior = {json.dumps(PRIOR)}',
                "data": 'observations = "fit-observed.csv"',
            }.items())
            with open("mine.toml", "w") as file:
                file.write('preset = "process"\n' + tables)
            with open("model.py", "w") as file:
                file.write("import eki_mpi\nfrom program import simulate\n\neki_mpi.simulator(simulate)\n")
            sets = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
            ended = run("run", "mine.toml", "--out", "process", "--set", 'run.best="never"', *sets)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            with open("process/summary.json") as file:
                self.assertEqual(json.load(file)["digest"], fitted.summary["digest"])

    def test_members_that_fail_are_drawn_again(self) -> None:
        with room():
            asked = AskTell("fit", prior=PRIOR, observations=OBSERVED, settings={**SETTINGS, "method.noise": 0.0025})
            members = asked.ask()
            assert members is not None
            rows = [None, ValueError("too\nlarge"), [numpy.nan] * 12, *(simulate(*u) for u in members[3:])]
            asked.tell(rows)
            self.assertIsNotNone(asked.ask())
            self.assertEqual(asked.result().metrics["failed"][0], 3)

    def test_what_is_refused_may_be_told_again(self) -> None:
        with room():
            asked = AskTell("fit", prior=PRIOR, observations=TABLE, settings=SETTINGS)
            with self.assertRaisesRegex(RuntimeError, "nothing is asked"):
                asked.tell([])
            members = asked.ask()
            assert members is not None
            with self.assertRaisesRegex(ValueError, "19 rows"):
                asked.tell([simulate(*u) for u in members[1:]])
            asked.tell([simulate(*u)[1:] for u in members])
            with self.assertRaisesRegex(ProgramError, "11 numbers"):
                asked.ask()
            asked.tell([simulate(*u) for u in members])
            after = asked.ask()
            assert after is not None
            self.assertFalse((after == members).all())
            self.assertTrue((after == asked.ask()).all())

    def test_errors_of_the_program_are_raised_with_its_words(self) -> None:
        with room() as folder:
            for changed, words in [
                ({"settings": {"ensemble.members": 1}}, "ensemble.members"),
                ({"prior": ["growth"]}, "growth"),
                ({"program": "no-such-program"}, "cannot be started"),
            ]:
                given = {"prior": PRIOR, "observations": TABLE, **changed}
                with self.assertRaisesRegex(ProgramError, words):
                    AskTell("fit", **given).ask()
            self.assertFalse((folder / "fit").exists())
            asked = AskTell("fit", prior=PRIOR, observations=TABLE, settings=SETTINGS)
            members = asked.ask()
            assert members is not None
            asked.tell([simulate(*u) for u in members])
            (folder / "fit" / "STOP").touch()
            with self.assertRaisesRegex(Stopped, "STOP"):
                asked.ask()
            self.assertIsNotNone(asked.ask())

    def test_a_step_asks_for_its_sets(self) -> None:
        with room():
            sets = ["early"] * 6 + ["late"] * 6
            table = {**TABLE, "set": sets, "name": MONTHS}
            asked = AskTell("fit", prior=PRIOR, observations=table, settings={**SETTINGS, "data.batch": 1, "method.h_schedule": "level"})
            seen = set()
            while (members := asked.ask()) is not None:
                assert asked.sets is not None
                seen.update(asked.sets)
                places = [i for of in asked.sets for i in range(12) if sets[i] == of]
                asked.tell([numpy.array(simulate(*u))[places] for u in members])
            self.assertEqual(seen, {"early", "late"})


if __name__ == "__main__":
    unittest.main()
