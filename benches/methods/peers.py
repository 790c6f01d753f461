"""ES-MDA by other packages, from the members and with the simulator of `cargo bench --bench methods`, which starts this:

    python peers.py FOLDER INITIAL.npy SEED SIMULATOR...

FOLDER has y.txt, and where parameters have places parameters.txt, observations.txt and radius.txt. The noise is N(0, I). A line for each peer:
name, simulations, steps, seconds of its updates, the file of its members, settings. A member whose simulation fails is left out from then on.
"""
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

STEPS = 4


class Simulator:
    def __init__(self, command, outputs):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.outputs, self.count = outputs, 0

    def __call__(self, members):
        """The outputs of J x P members, J x K; a row of NaN for each that fails."""
        rows = np.full((len(members), self.outputs), np.nan)
        for row, u in zip(rows, members):
            print(*map(repr, map(float, u)), file=self.process.stdin, flush=True)
            found = self.process.stdout.readline().split()
            if found:
                row[:] = [float(z) for z in found]
        self.count += len(members)
        return rows


def taper(distance):
    """Gaspari and Cohn's function of distances in units of the radius, 0 from 1 on (QJRMS 125 (1999) 723, equation 4.10)."""
    x = 2 * distance
    inner = ((-x / 4 + 1 / 2) * x + 5 / 8) * x**3 - 5 / 3 * x**2 + 1
    with np.errstate(divide="ignore"):
        outer = ((((x / 12 - 1 / 2) * x + 5 / 8) * x + 5 / 3) * x - 5) * x + 4 - 2 / (3 * x)
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def smoother(kind, folder):
    """An update of P x J parameters by `kind` of iterative_ensemble_smoother, with its arguments."""
    import iterative_ensemble_smoother as ies

    if kind == "ies-esmda":
        return ies.ESMDA, {}
    if kind == "ies-adaptive":
        return ies.AdaptiveESMDA, {"n_jobs": 1}
    places = [np.loadtxt(folder / name, ndmin=2) for name in ("parameters.txt", "observations.txt")]
    far = np.linalg.norm(places[0][:, None] - places[1][None], axis=2) / float((folder / "radius.txt").read_text())
    rho = taper(far)  # P x K
    return ies.LocalizedESMDA, {"localization_callback": lambda gain: gain * rho}


def by_ies(kind, folder, y, x, seed, simulate):
    make, arguments = smoother(kind, folder)
    seconds, method = 0.0, make(np.ones(len(y)), y, alpha=STEPS, seed=seed)
    for _ in range(method.num_assimilations()):
        z = simulate(x.T).T  # K x J
        good = np.isfinite(z).all(axis=0)
        if not good.all():
            # The method keeps the number of its members: the rest go on with a method of their own.
            x, z = x[:, good], z[:, good]
        start = time.perf_counter()
        method.prepare_assimilation(Y=z, truncation=1.0)
        x = method.assimilate_batch(X=x, **arguments)
        seconds += time.perf_counter() - start
    return x.T, seconds


def by_pyesmda(y, x, seed, simulate):
    from covmats import CovViaDiagonal
    from pyesmda import ESMDA

    inside = 0.0

    def forward(members):
        nonlocal inside
        start = time.perf_counter()
        outputs = simulate(members.T).T
        inside += time.perf_counter() - start
        return outputs

    method = ESMDA(y, x, CovViaDiagonal(np.ones(len(y))), forward, n_assimilations=STEPS, random_state=seed, truncation=1.0,
                   is_forecast_for_last_assimilation=False, is_parallel_analyse_step=False, max_failure_fraction=0.9)
    start = time.perf_counter()
    method.solve()
    return method.m_posterior.T, time.perf_counter() - start - inside


def main():
    folder, initial, seed, *command = sys.argv[1:]
    folder, seed = Path(folder), int(seed)
    y, first = np.loadtxt(folder / "y.txt", ndmin=1), np.load(initial)
    peers = ["ies-esmda", "ies-adaptive", "pyesmda"] + ["ies-distance"] * (folder / "radius.txt").exists()
    for name in peers:
        simulate = Simulator(command, len(y))
        try:
            if name == "pyesmda":
                members, seconds = by_pyesmda(y, first.T.copy(), seed, simulate)
            else:
                members, seconds = by_ies(name, folder, y, first.T.copy(), seed, simulate)
        except Exception as error:
            print(f"{name}, {command[-1]}, seed {seed}: {error!r}", file=sys.stderr)
            continue
        finally:
            simulate.process.stdin.close()
            simulate.process.wait()
        kept = folder / f"{name}.npy"
        np.save(kept, np.ascontiguousarray(members, dtype=np.float64))
        print(name, simulate.count, STEPS, seconds, kept, f"alpha = {STEPS}", sep="\t")


if __name__ == "__main__":
    main()
