"""Darcy flow in a square with a uniform source and pressure 0 around: from the logarithm of permeability in SIDE x SIDE cells to the
pressure in some of them. Finite volumes, harmonic means of permeability between cells."""
import math
import sys

SIDE, SOURCE = 8, 10.0
WELLS = [(i, j) for i in (0, 2, 5, 7) for j in (1, 3, 4, 6)]


def pressure(log_k):
    """Returns the pressure in each cell, row by row, by elimination within the band of the matrix."""
    n, h = SIDE, 1 / SIDE
    k = [math.exp(x) for x in log_k]
    cells = n * n
    # band[i][d]: entry (i, i + d) of the symmetric matrix.
    band = [[0.0] * (n + 1) for _ in range(cells)]
    p = [SOURCE * h * h] * cells
    for i in range(cells):
        row, column = divmod(i, n)
        for inside, other in ((column < n - 1, i + 1), (row < n - 1, i + n)):
            if inside:
                t = 2 * k[i] * k[other] / (k[i] + k[other])
                band[i][0] += t
                band[other][0] += t
                band[i][other - i] -= t
        sides = (row == 0) + (row == n - 1) + (column == 0) + (column == n - 1)
        band[i][0] += 2 * k[i] * sides
    for i in range(cells):
        pivot = band[i]
        for d in range(1, min(n, cells - 1 - i) + 1):
            factor = pivot[d] / pivot[0]
            if factor:
                below = band[i + d]
                for e in range(d, n + 1):
                    below[e - d] -= factor * pivot[e]
                p[i + d] -= factor * p[i]
    for i in reversed(range(cells)):
        row = band[i]
        p[i] = (p[i] - sum(row[d] * p[i + d] for d in range(1, min(n, cells - 1 - i) + 1))) / row[0]
    return p


def outputs(log_k):
    p = pressure(log_k)
    return [p[i * SIDE + j] for i, j in WELLS]


if __name__ == "__main__":
    for line in sys.stdin:
        print(*outputs([float(x) for x in line.split()]), flush=True)
