"""Lorenz-96 with forcing F and damping c: dX_k/dt = (X_{k+1} - X_{k-2}) X_{k-1} - c X_k + F, long-run means as outputs."""
import sys

VARIABLES, STEP = 8, 0.05


def slope(x, c, f):
    # Negative places count from the end: the ring closes by itself but for its last place.
    n = len(x)
    return [(x[k + 1 - n] - x[k - 2]) * x[k - 1] - c * x[k] + f for k in range(n)]


def advance(x, c, f):
    """One step of the classical Runge-Kutta method."""
    h = STEP
    a = slope(x, c, f)
    b = slope([u + h / 2 * v for u, v in zip(x, a)], c, f)
    d = slope([u + h / 2 * v for u, v in zip(x, b)], c, f)
    e = slope([u + h * v for u, v in zip(x, d)], c, f)
    return [u + h / 6 * (p + 2 * q + 2 * r + s) for u, p, q, r, s in zip(x, a, b, d, e)]


def statistics(f, c, length, start=0):
    """Means over `length` time units of X, X^2 and the products of neighbours at distances 1, 2 and 3."""
    x = [f / c + 0.01 * ((7 * k + 3 * start) % 11 + start % 13) for k in range(VARIABLES)]
    for _ in range(round((10 + start % 7) / STEP)):
        x = advance(x, c, f)
    sums, steps = [0.0] * 5, round(length / STEP)
    for _ in range(steps):
        x = advance(x, c, f)
        sums[0] += sum(x)
        for lag in range(4):
            sums[1 + lag] += sum(u * v for u, v in zip(x, x[lag:] + x[:lag]))
    return [s / steps / VARIABLES for s in sums]


if __name__ == "__main__":
    length = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    for line in sys.stdin:
        print(*statistics(*map(float, line.split()), length), flush=True)
