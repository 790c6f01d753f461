"""The posterior on a grid: outputs of long runs on a coarse grid, a cubic through them, Bayes' rule on a fine grid.

    python3 grid.py > answer.csv        a minute or two
"""
import math
from multiprocessing import Pool

from model import statistics

FORCING, DAMPING, LENGTH = (6.0, 10.4), (0.72, 1.32), 500.0
# Mean and deviation of the logarithms: lognormal 9 2 and lognormal 1.1 0.25 in model.toml.
PRIOR = [(math.log(m) - s2 / 2, s2) for m, d in ((9, 2), (1.1, 0.25)) for s2 in (math.log(1 + (d / m) ** 2),)]


def between(bounds, share):
    return bounds[0] + share * (bounds[1] - bounds[0])


def terms(f, c):
    """The monomials of two numbers about the middle up to the third degree."""
    x = (f - between(FORCING, 0.5)) / (FORCING[1] - FORCING[0])
    y = (c - between(DAMPING, 0.5)) / (DAMPING[1] - DAMPING[0])
    return [x**i * y**j for i in range(4) for j in range(4 - i)]


def solve(a, b):
    """Gauss's elimination with pivots; b has a column for each right-hand side."""
    n = len(a)
    rows = [list(r) + list(s) for r, s in zip(a, b)]
    for i in range(n):
        p = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[p] = rows[p], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for r in range(n):
            if r != i and rows[r][i]:
                rows[r] = [x - rows[r][i] * y for x, y in zip(rows[r], rows[i])]
    return [r[n:] for r in rows]


def point(p):
    return statistics(*p, LENGTH, 7)


def read(name):
    with open(name) as file:
        return [[float(x) for x in line.split(",")] for line in file]


def posterior(model, observed, precision):
    """Means and deviations of forcing and damping, and their correlation."""
    n, sums, mode = 240, [0.0] * 6, -math.inf
    kept = []
    for a in range(n + 1):
        for b in range(n + 1):
            f, c = between(FORCING, a / n), between(DAMPING, b / n)
            at = terms(f, c)
            r = [y - sum(t * w for t, w in zip(at, column)) for y, column in zip(observed, zip(*model))]
            log = -sum(x * p * y for x, row in zip(r, precision) for p, y in zip(row, r)) / 2
            for u, (m, s2) in zip((f, c), PRIOR):
                log -= (math.log(u) - m) ** 2 / 2 / s2 + math.log(u)
            kept.append((log, f, c))
            mode = max(mode, log)
    for log, f, c in kept:
        w = math.exp(log - mode)
        for i, x in enumerate((1, f, c, f * f, c * c, f * c)):
            sums[i] += w * x
    _, f, c, ff, cc, fc = (s / sums[0] for s in sums)
    deviations = math.sqrt(ff - f * f), math.sqrt(cc - c * c)
    return f, c, *deviations, (fc - f * c) / deviations[0] / deviations[1]


if __name__ == "__main__":
    points = [(between(FORCING, a / 8), between(DAMPING, b / 8)) for a in range(9) for b in range(9)]
    with Pool() as pool:
        outputs = pool.map(point, points)
    design = [terms(*p) for p in points]
    normal = [[sum(r[i] * r[j] for r in design) for j in range(len(design[0]))] for i in range(len(design[0]))]
    right = [[sum(r[i] * z[k] for r, z in zip(design, outputs)) for k in range(len(outputs[0]))] for i in range(len(design[0]))]
    model = solve(normal, right)
    observed, gamma = [row[0] for row in read("observed.txt")], read("gamma.csv")
    size = len(gamma)
    unit = [[float(i == j) for j in range(size)] for i in range(size)]
    diagonal = [[unit[i][j] / gamma[i][i] for j in range(size)] for i in range(size)]
    print("noise,forcing,damping,forcing deviation,damping deviation,correlation")
    for name, precision in (("covariance", solve(gamma, unit)), ("diagonal", diagonal)):
        print(name, *(f"{x:.5g}" for x in posterior(model, observed, precision)), sep=",")
