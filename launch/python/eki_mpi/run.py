"""The folder of a run, as arrays, DataFrames and ArviZ InferenceData."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any, Optional, Union, cast

import numpy

from .table import Array, Table, from_csv, from_records

# What `members.are` in summary.json says of members that tell of a posterior.
POSTERIOR = ("posterior-sample", "posterior-moments", "sigma-points")


class Step:
    """An ensemble of the run's history (`output.history`) with its outputs, read when it is asked for."""

    def __init__(self, folder: Path, names: tuple[list[str], list[str]]) -> None:
        """Reads sizes from the `folder`, as steps/000007 of a run, and takes the `names` of parameters and outputs."""
        self.folder = folder
        self._names = names
        self._about = _json(folder / "step.json")

    @property
    def number(self) -> int:
        """The steps before it."""
        return int(self._about["step"])

    @property
    def time(self) -> float:
        """The sum of the h of the steps before it."""
        return float(self._about["time"])

    @property
    def sets(self) -> Optional[list[str]]:
        """The sets of observations whose outputs are known; None: all."""
        return cast("Optional[list[str]]", self._about.get("sets"))

    @cached_property
    def parameters(self) -> Table:
        """The members, J x P, in the parameters' own units."""
        return Table(_array(self.folder / "parameters.npy"), self._names[0])

    @cached_property
    def outputs(self) -> Table:
        """The members' outputs, J x K, as the simulator gave them; NaN where it gave none."""
        return Table(_array(self.folder / "outputs.npy"), self._names[1])

    def __repr__(self) -> str:
        return f"<Step {self.number} of {self.folder}>"


class Run:
    """A run's folder. Files are read when they are asked for, once: a new `Run` sees what a run that goes on has written since."""

    def __init__(self, folder: Union[str, os.PathLike[str]]) -> None:
        """Opens the run in `folder`; raises FileNotFoundError where there is none."""
        self.folder = Path(folder)
        if not (self.folder / "config.toml").is_file():
            raise FileNotFoundError(f"{self.folder}: is no folder of a run: it holds no config.toml")

    def __repr__(self) -> str:
        return f"<Run {self.folder}>"

    @cached_property
    def config(self) -> dict[str, Any]:
        """All settings, by section. Needs Python 3.11, or the package tomli."""
        try:
            import tomllib
        except ImportError:
            import tomli as tomllib  # type: ignore[no-redef, unused-ignore]
        with open(self.folder / "config.toml", "rb") as file:
            return dict(tomllib.load(file))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """How the run ended: reason, verdict, scores, digest (summary.json)."""
        return _json(self.folder / "summary.json")

    @cached_property
    def timing(self) -> dict[str, Any]:
        """Seconds of each phase, least, mean and most over ranks (timing.json)."""
        return _json(self.folder / "timing.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Version, host, ranks and command line (environment.json)."""
        return _json(self.folder / "environment.json")

    @cached_property
    def metrics(self) -> Table:
        """A row for each step; scores are NaN at steps that were not evaluated (metrics.jsonl)."""
        text = (self.folder / "metrics.jsonl").read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a run that goes on may be within a line
        return from_records([json.loads(line) for line in whole.splitlines()])

    @cached_property
    def steps(self) -> list[Step]:
        """The ensembles that were kept with their outputs, a simulator's: by default the first and the last."""
        folder = self.folder / "steps"
        if not (folder / "history.json").is_file():
            return []
        of = _json(folder / "history.json")
        kept = sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir())
        return [Step(path, (of["parameters"], of["outputs"])) for path in kept]

    @property
    def last(self) -> Step:
        """The final ensemble with its outputs; raises FileNotFoundError where the run did not keep it."""
        steps = self.steps
        if not steps or steps[-1].number != self.summary["steps"]:
            raise FileNotFoundError(f"{self.folder}: the final ensemble was not kept with its outputs: see output.history")
        return steps[-1]

    @property
    def are(self) -> str:
        """What a simulator's final members are: "posterior-sample", "posterior-moments", "sigma-points" or "fit"; "" where the run does not say."""
        return str(self.summary.get("members", {}).get("are", ""))

    @cached_property
    def parameters(self) -> Table:
        """A row for each parameter of a simulator: mean, deviation, quantiles, contraction (final/parameters.csv)."""
        return from_csv(self.folder / "final" / "parameters.csv")

    @cached_property
    def predictive(self) -> Table:
        """A row for each observation: the final members' outputs beside it (final/predictive.csv)."""
        return from_csv(self.folder / "final" / "predictive.csv")

    @cached_property
    def mean(self) -> Array:
        """The mean of the final members, P numbers."""
        return _array(self.folder / "final" / "mean.npy")

    @cached_property
    def best(self) -> Array:
        """The member of the least misfit, P numbers."""
        return _array(self.folder / "final" / "best.npy")

    @cached_property
    def members(self) -> Table:
        """The final members, J x P: a simulator's by name in their own units, a network's in the order of the guide's chapter `files`.

        Raises FileNotFoundError where the run did not keep them (`output.ensemble`).
        """
        final = self.folder / "final"
        if (final / "parameters.csv").is_file():
            for name in ("posterior.csv", "members.csv"):
                if (final / name).is_file() and not (final / "units.txt").is_file():
                    return from_csv(final / name)  # of a version whose arrays hold coordinates
            names: Optional[list[str]] = [str(name) for name in self.parameters["name"]]
        else:
            names = None
        path = final / "ensemble.npy"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: is missing: runs keep their members with output.ensemble = true")
        return Table(_array(path), names)

    @property
    def outputs(self) -> Table:
        """The final members' outputs, J x K, in the order of the observations; NaN where a member failed."""
        return self.last.outputs

    @property
    def posterior(self) -> Table:
        """The final members, where they are a sample of the posterior or have its moments; of sigma points draws of their normal law.

        Raises ValueError where they are a fit: their spread is no error bar. `members` has them in any case.
        """
        if self.are not in POSTERIOR:
            raise ValueError(
                f"{self.folder}: the members are no sample of the posterior: {self.summary.get('verdict', 'of a network, or no end')}"
            )
        if self._is_law:
            return from_csv(self.folder / "final" / "posterior.csv")
        return self.members

    @property
    def _is_law(self) -> bool:
        """True where members are sigma points, no sample."""
        return self.are == "sigma-points"

    def inference_data(self, seed: int = 0) -> Any:
        """Returns the run as ArviZ holds it: an InferenceData, or a DataTree where ArviZ is of version 1 or is arviz-base.

        Groups are posterior and prior (parameters), posterior_predictive and prior_predictive (outputs with noise that is drawn
        with `seed`, each observation's own deviation), and observed_data. Those of which the run kept nothing are left out, and with sigma points prior and outputs. A chain
        holds all members, in no order. Raises ValueError where the members are no sample of the posterior.
        """
        groups: dict[str, dict[str, Array]] = {"posterior": _draws(self.posterior)}
        ensembles = {"posterior": self._final_with_outputs(), "prior": self._first()}
        if self._is_law:
            ensembles = {"posterior": None, "prior": None}  # outputs at sigma points are no sample
        if ensembles["prior"] is not None:
            groups["prior"] = _draws(ensembles["prior"].parameters)
        coords: dict[str, list[str]] = {}
        if (self.folder / "final" / "predictive.csv").is_file():
            table = self.predictive
            counted = numpy.ones(len(table["observed"]), dtype=bool)
            if "left_out" in table:
                counted = table["left_out"] == 0
            labels = [str(name) for name in table["name"]]
            if "set" in table:
                labels = [f"{of} {name}" for of, name in zip(table["set"], labels)]
            coords["observation"] = [label for label, counts in zip(labels, counted) if counts]
            deviation, noise = table["noise_deviation"][counted], numpy.random.default_rng(seed)
            for name, step in ensembles.items():
                if step is not None:
                    outputs = step.outputs.array[:, counted]
                    outputs = outputs[~numpy.isnan(outputs).any(axis=1)]
                    if len(outputs):
                        outputs = outputs + deviation * noise.standard_normal(outputs.shape)
                        groups[f"{name}_predictive"] = {"observations": outputs[numpy.newaxis]}
            groups["observed_data"] = {"observations": table["observed"][counted]}
        return _to_arviz(groups, coords, {"observations": ["observation"]} if coords else {})

    def _first(self) -> Optional[Step]:
        return self.steps[0] if self.steps and self.steps[0].number == 0 else None

    def _final_with_outputs(self) -> Optional[Step]:
        try:
            return self.last
        except FileNotFoundError:
            return None


def _draws(table: Table) -> dict[str, Array]:
    """Returns the columns of `table` as ArviZ takes them: chains x draws."""
    return {name: column[numpy.newaxis] for name, column in table.items()}


def _to_arviz(groups: dict[str, dict[str, Array]], coords: dict[str, list[str]], dims: dict[str, list[str]]) -> Any:
    """Returns `groups` as an InferenceData, or as a DataTree by versions of ArviZ that have that in its place."""
    for name in ("arviz", "arviz_base"):
        if importlib.util.find_spec(name) is not None:
            arviz: Any = importlib.import_module(name)
            if name == "arviz" and arviz.__version__.startswith("0."):
                return arviz.from_dict(**groups, coords=coords, dims=dims)
            return arviz.from_dict(groups, coords=coords, dims=dims)
    raise ImportError("InferenceData needs the package arviz: pip install arviz")


def _json(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))


def _array(path: Path) -> Array:
    return cast(Array, numpy.load(path))
