"""Makes the example's data, and its independent answer: the posterior's mode and Laplace's approximation about it.

    python3 laplace.py data        observed.txt
    python3 laplace.py > answer.csv
"""
import math
import random
import sys

from model import SIDE, outputs

DEVIATION, LENGTH, NOISE = 0.8, 0.3, 0.01
CELLS = SIDE * SIDE


def correlation():
    """Matern's with nu = 3/2."""
    place = [((c // SIDE + 0.5) / SIDE, (c % SIDE + 0.5) / SIDE) for c in range(CELLS)]

    def of(a, b):
        r = math.sqrt(3) * math.dist(a, b) / LENGTH
        return (1 + r) * math.exp(-r)

    return [[of(a, b) for b in place] for a in place]


def root(c):
    """The lower Cholesky factor."""
    n = len(c)
    l = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = c[i][j] - sum(l[i][k] * l[j][k] for k in range(j))
            l[i][j] = math.sqrt(rest) if i == j else rest / l[j][j]
    return l


def solve(a, b):
    """Solves A x = b for symmetric, positive definite A."""
    l = root(a)
    y = []
    for i, row in enumerate(l):
        y.append((b[i] - sum(row[k] * y[k] for k in range(i))) / row[i])
    for i in reversed(range(len(y))):
        y[i] = (y[i] - sum(l[k][i] * y[k] for k in range(i + 1, len(y)))) / l[i][i]
    return y


def slopes(u, about):
    """The derivatives of the outputs, K x P, by differences."""
    step = 1e-5
    columns = []
    for c in range(CELLS):
        moved = outputs(u[:c] + [u[c] + step] + u[c + 1 :])
        columns.append([(z - z0) / step for z, z0 in zip(moved, about)])
    return [list(row) for row in zip(*columns)]


def times(a, x):
    return [sum(p * q for p, q in zip(row, x)) for row in a]


def laplace(observed):
    """By Gauss and Newton: u = C J^T (J C J^T + Gamma)^{-1} (y - G(u_0) + J u_0) until it stays."""
    c = [[DEVIATION**2 * x for x in row] for row in correlation()]
    u = [0.0] * CELLS
    for _ in range(60):
        z = outputs(u)
        j = slopes(u, z)
        cj = [times(c, row) for row in j]  # K x P
        s = [[sum(p * q for p, q in zip(a, b)) + NOISE**2 * (m == n) for n, b in enumerate(cj)] for m, a in enumerate(j)]
        rest = [y - g + sum(p * q for p, q in zip(row, u)) for y, g, row in zip(observed, z, j)]
        weights = solve(s, rest)
        new = [sum(w * row[p] for w, row in zip(weights, cj)) for p in range(CELLS)]
        move = max(abs(a - b) for a, b in zip(new, u))
        # Half a step keeps it from overshooting at first.
        u = [a + (b - a) * (0.5 if move > 0.3 else 1.0) for a, b in zip(u, new)]
        if move < 1e-6:
            break
    else:
        raise SystemExit("no convergence")
    variances = []
    for p in range(CELLS):
        column = [row[p] for row in cj]
        variances.append(c[p][p] - sum(x * y for x, y in zip(column, solve(s, column))))
    return u, [math.sqrt(v) for v in variances]


if __name__ == "__main__":
    if sys.argv[1:] == ["data"]:
        random.seed(3)
        l, xi = root(correlation()), [random.gauss(0, 1) for _ in range(CELLS)]
        truth = [DEVIATION * x for x in times(l, xi)]
        with open("observed.txt", "w") as file:
            for z in outputs(truth):
                print(f"{z + random.gauss(0, NOISE):.6f}", file=file)
    else:
        with open("observed.txt") as file:
            mode, deviations = laplace([float(line) for line in file])
        print("name,mean,deviation")
        for c, (m, d) in enumerate(zip(mode, deviations)):
            print(f'"log_k[{c // SIDE + 1},{c % SIDE + 1}]",{m:.6f},{d:.6f}')
