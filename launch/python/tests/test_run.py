"""Reading the folders of runs."""

import importlib.util
import json
import tempfile
import unittest
from pathlib import Path

import numpy

from eki_mpi import AskTell, Run

from program import MONTHS, OBSERVED, PRIOR, TABLE, room, run, simulate


def has(*packages: str) -> bool:
    return any(importlib.util.find_spec(package) is not None for package in packages)


def asked(folder: Path, source: str, **settings: object) -> Run:
    """A finished run in `folder`."""
    settings = {"ensemble.members": 60, "output.history": "all", **settings}
    run = AskTell(folder, source, prior=PRIOR, observations=TABLE, settings=settings)
    while (members := run.ask()) is not None:
        run.tell([simulate(*u) for u in members])
    return run.result()


class Sample(unittest.TestCase):
    """A sample of the posterior."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.room = tempfile.TemporaryDirectory()
        cls.found = asked(Path(cls.room.name) / "fit", "posterior", **{"method.h": 1.0})

    @classmethod
    def tearDownClass(cls) -> None:
        cls.room.cleanup()

    def test_a_sample_is_read_by_name(self) -> None:
        found = self.found
        self.assertEqual((found.are, found.posterior.names), ("posterior-sample", ["growth", "capacity"]))
        self.assertEqual(found.members.array.shape, (60, 2))
        # The arrays are those that the tables of the run are made of.
        table = found.parameters
        self.assertEqual(list(table["name"]), ["growth", "capacity"])
        numpy.testing.assert_allclose(found.posterior["capacity"].mean(), table["mean"][1], rtol=1e-12)
        numpy.testing.assert_allclose(numpy.quantile(found.posterior["growth"], 0.05), table["q05"][0], rtol=1e-12)
        numpy.testing.assert_allclose(found.outputs.array.mean(axis=0), found.predictive["mean"], rtol=1e-12)
        self.assertEqual((found.outputs.names, list(found.predictive["name"])), (MONTHS, MONTHS))
        first, last = found.steps[0], found.last
        self.assertEqual((first.number, last.number, last.time), (0, found.summary["steps"], 1.0))
        self.assertTrue((numpy.asarray(last.parameters) == found.members.array).all())
        self.assertEqual(list(first.outputs.array[7]), simulate(*first.parameters.array[7]))
        self.assertEqual(len(found.metrics["step"]), found.summary["steps"])
        self.assertEqual(found.environment["ranks"], 1)
        self.assertIn("step_seconds", found.timing)
        if has("pandas"):
            frame = found.posterior.frame()
            self.assertEqual((list(frame.columns), len(frame)), (["growth", "capacity"], 60))
            self.assertEqual(found.parameters.frame().set_index("name").loc["capacity", "mean"], table["mean"][1])
        if has("tomllib", "tomli"):
            self.assertEqual(found.config["ensemble"]["members"], 60)

    @unittest.skipUnless(has("arviz", "arviz_base"), "ArviZ is not installed")
    def test_arviz_takes_a_sample(self) -> None:
        found = self.found
        data = found.inference_data()
        self.assertEqual(data["posterior"]["growth"].shape, (1, 60))
        self.assertEqual(data["prior"]["capacity"].shape, (1, 60))
        values = numpy.asarray(data["posterior"]["growth"])[0]
        self.assertTrue((values == found.posterior["growth"]).all())
        predicted = data["posterior_predictive"]["observations"]
        self.assertEqual(predicted.shape, (1, 60, 12))
        self.assertEqual(list(data["observed_data"]["observations"].coords["observation"].values), MONTHS)
        self.assertEqual(list(data["observed_data"]["observations"].values), OBSERVED)
        # With noise of 0.05 on outputs that differ by less: five standard errors of a deviation of 720 draws.
        noise = (numpy.asarray(predicted)[0] - found.outputs.array).std()
        self.assertLess(abs(noise - 0.05), 5 * 0.05 / (2 * 720) ** 0.5)
        self.assertEqual(data["prior_predictive"]["observations"].shape, (1, 60, 12))


class Others(unittest.TestCase):
    """Runs that sample no posterior."""

    def test_a_fit_is_no_posterior(self) -> None:
        with room():
            found = asked(Path("fit"), "ask-tell", **{"run.steps": 1})
            self.assertEqual(found.are, "fit")
            for taken in (lambda: found.posterior, found.inference_data):
                with self.assertRaisesRegex(ValueError, "no sample of the posterior"):
                    taken()
            self.assertEqual(found.members.array.shape, (60, 2))

    def test_a_network_has_members_by_number(self) -> None:
        with room() as folder:
            few = [
                word
                for key, value in {"ensemble.members": 10, "run.epochs": 1, "data.batch": 700, "output.ensemble": "true"}.items()
                for word in ("--set", f"{key}={value}")
            ]
            ended = run("run", "digits", "--out", "net", *few)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            found = Run("net")
            self.assertEqual(found.members.array.shape, (10, len(found.mean)))
            numpy.testing.assert_allclose(found.members["3"].mean(), found.mean[3], rtol=1e-4, atol=1e-6)
            self.assertEqual(found.metrics["accuracy_mean"][-1], found.summary["accuracy_mean"])
            self.assertEqual((found.steps, found.are), ([], ""))
            with self.assertRaises(ValueError):
                found.posterior
            with self.assertRaisesRegex(FileNotFoundError, "output.history"):
                found.outputs
            # A line that is being written does not count yet.
            with open(folder / "net" / "metrics.jsonl", "a") as file:
                file.write('{"step": 99')
            self.assertEqual(len(Run("net").metrics["step"]), json.loads((folder / "net/summary.json").read_text())["steps"])
            (folder / "net" / "final" / "ensemble.npy").unlink()
            with self.assertRaisesRegex(FileNotFoundError, "output.ensemble"):
                Run("net").members
            with self.assertRaises(FileNotFoundError):
                Run("nothing")


if __name__ == "__main__":
    unittest.main()
