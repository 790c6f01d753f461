"""A calibration whose outputs are computed in Python: the file protocol of `preset = "ask-tell"`."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy

from .run import Run
from .table import Array

STOPPED = 75  # the exit code of a run that has a good checkpoint and is to go on
ASKS = "asks for outputs"

Row = Union[Sequence[float], Array, float, BaseException, None]
StrPath = Union[str, "os.PathLike[str]"]


class ProgramError(RuntimeError):
    """The program ended with an error; its message says why."""


class Stopped(ProgramError):
    """The run stopped before it asked: by a signal, a file STOP, or its time limit. Another `ask` goes on."""


class AskTell:
    """A calibration that asks for its members' outputs, step by step, and is told them.

    The run's state lies in its folder: the same lines in a new process go on where an earlier one ended.
    """

    def __init__(
        self,
        folder: StrPath,
        source: str = "ask-tell",
        *,
        prior: Optional[Sequence[str]] = None,
        observations: Union[StrPath, Sequence[float], Array, Mapping[str, Any], None] = None,
        settings: Optional[Mapping[str, Any]] = None,
        program: Union[StrPath, Sequence[str], None] = None,
    ) -> None:
        """Describes the run in `folder`; nothing is started yet.

        source: a preset ("ask-tell" for a fit, "posterior" for a sample) or a configuration file.
        prior: a law for each parameter, as in `model.prior`.
        observations: the file of `data.observations`; or its numbers; or its columns by name (a DataFrame has them, too), as name, value,
            deviation. Numbers and columns are written beside the folder.
        settings: further keys, as {"ensemble.members": 100, "method.noise": 0.01}.
        program: `eki-mpi`, or words that start it, as ["mpirun", "-n", "4", "eki-mpi"]. By default $EKI_MPI, else eki-mpi in the PATH.
        """
        self.folder = Path(folder)
        self.names: list[str] = []
        """The parameters' names, once `ask` has returned members."""
        self.sets: Optional[list[str]] = None
        """The sets of observations that the step asks for, where it takes some of them."""
        if program is None:
            program = os.environ.get("EKI_MPI") or "eki-mpi"
        words = [os.fspath(program)] if isinstance(program, (str, os.PathLike)) else list(program)
        keys: dict[str, Any] = {"model.kind": "ask-tell"}
        if prior is not None:
            keys["model.prior"] = list(prior)
        if observations is not None:
            if isinstance(observations, (str, os.PathLike)):
                keys["data.observations"] = os.fspath(observations)
            else:
                keys["data.observations"] = str(_write_observations(self.folder, observations))
        keys.update(settings or {})
        sets = [word for key, value in keys.items() for word in ("--set", f"{key}={_toml(value)}")]
        self._command = [*words, "run", os.fspath(source), *sets, "--out", str(self.folder), "--resume"]
        self._asked: Optional[Path] = None
        self._members: Optional[Array] = None

    def ask(self) -> Optional[Array]:
        """Returns the members whose outputs the next step needs, J x P, in their own units; None once the run has ended.

        Raises ProgramError with the program's message where it refuses its settings or what it was told; Stopped where it was stopped.
        """
        try:
            ended = subprocess.run(self._command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ProgramError(f"{self._command[0]}: cannot be started: {error.strerror}") from error
        if ended.returncode == 0:
            self._asked = None
            return None
        if ended.returncode != STOPPED:
            said = [line for line in ended.stderr.splitlines() if line.startswith("eki-mpi: ")]
            raise ProgramError("\n".join(said) or ended.stderr.strip() or f"the program ended with {ended.returncode}")
        reason = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))["reason"]
        if reason != ASKS:
            raise Stopped(f"{self.folder}: stopped: {reason}")
        self._asked = (self.folder / "ask" / "now").resolve()
        with open(self._asked / "parameters.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        sets = self._asked / "sets.txt"
        self.sets = sets.read_text(encoding="utf-8").splitlines() if sets.is_file() else None
        self.names = rows[0]
        self._members = numpy.array(rows[1:], dtype=float)
        return self._members

    def tell(self, outputs: Iterable[Row]) -> None:
        """Tells the outputs of the members that `ask` returned: a row for each, in their order.

        A row holds K numbers; NaN: not known. None, or an exception, says that the member failed. Outputs that the program refuses may be
        told again. Raises ValueError where the rows are not as many as the members, RuntimeError where nothing was asked.
        """
        if self._asked is None or self._members is None:
            raise RuntimeError("nothing is asked: call ask() first")
        lines = [_line(row) for row in outputs]
        if len(lines) != len(self._members):
            raise ValueError(f"{len(lines)} rows of outputs were told, and {len(self._members)} members are asked for")
        # Under its name it is whole.
        part = self._asked / "outputs.csv.part"
        part.write_text("".join(lines), encoding="utf-8")
        os.replace(part, self._asked / "outputs.csv")

    def result(self) -> Run:
        """Returns the run, as it is by now."""
        return Run(self.folder)


def _line(row: Row) -> str:
    """Returns the line that tells `row`."""
    if row is None or isinstance(row, BaseException):
        why = "" if row is None else f"{type(row).__name__}: {row}"
        return f"failed: {' '.join(why.split())}\n"
    return ",".join(repr(float(x)) for x in numpy.ravel(numpy.asarray(row, dtype=float))) + "\n"


def _write_observations(folder: Path, observations: Any) -> Path:
    """Writes `observations`, numbers or columns by name, beside `folder` and returns the file's path."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(observations, "items"):
        columns = {str(name): list(column) for name, column in observations.items()}
        path = folder.with_name(folder.name + "-observed.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values()))
        return path
    path = folder.with_name(folder.name + "-observed.txt")
    path.write_text("".join(f"{float(x)!r}\n" for x in numpy.ravel(observations)), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    """Returns `value` as TOML writes it."""
    if isinstance(value, (bool, numpy.bool_)):
        return "true" if value else "false"
    if isinstance(value, (str, os.PathLike)):
        return json.dumps(os.fspath(value))
    if isinstance(value, (int, numpy.integer)):
        return str(int(value))
    if isinstance(value, (float, numpy.floating)):
        return repr(float(value))
    if isinstance(value, (list, tuple, numpy.ndarray)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    raise TypeError(f"{value!r}: settings are numbers, text, true, false or lists of them")
