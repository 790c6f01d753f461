"""What the tests share: the program, a simulator and what was observed."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
# Simulators that a test writes find the package and this file, wherever they are started.
os.environ["PYTHONPATH"] = f"{TESTS.parent}{os.pathsep}{TESTS}"
PROGRAM = os.environ.get("EKI_MPI") or "eki-mpi"
PRIOR = ["growth lognormal 1.0 0.5", "capacity uniform 0.5 10"]


def simulate(growth: float, capacity: float) -> list[float]:
    """A population over twelve months."""
    x, outputs = 0.1, []
    for _ in range(12):
        for _ in range(10):
            x += 0.1 * growth * x * (1 - x / capacity)
        outputs.append(x)
    return outputs


OBSERVED = simulate(0.8, 3.0)
MONTHS = [f"month {i}" for i in range(1, 13)]
TABLE = {"name": MONTHS, "value": OBSERVED, "deviation": [0.05] * 12}


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """Runs the program to its end."""
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """A temporary folder in which the test stands."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)
