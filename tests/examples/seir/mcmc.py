"""The posterior by random-walk Metropolis (Haario, Saksman & Tamminen, Bernoulli 7 (2001) 223: proposals by the chain's covariance).

    python3 mcmc.py > answer.csv        some minutes: four chains of 100,000 steps
"""
import csv
import math
import random
from multiprocessing import Pool

from model import cases

NAMES = ("contact", "recovery", "infected")
STEPS, FIRST = 100_000, 10_000


def observations():
    with open("observed.csv") as file:
        rows = [(day, row["value"], float(row["deviation"])) for day, row in enumerate(csv.DictReader(file))]
    return [(day, float(value), deviation) for day, value, deviation in rows if value]


def log_posterior(u, observed):
    """The prior of model.toml: uniform, uniform, and log-uniform, of which the logarithm is the third coordinate."""
    contact, recovery, log_infected = u
    if not (0.2 <= contact <= 2.5 and 0.05 <= recovery <= 1 and 0 <= log_infected <= math.log(1000)):
        return -math.inf
    try:
        found = cases(contact, 0.25, recovery, math.exp(log_infected))
    except ValueError:
        return -math.inf
    return -sum(((found[day] - value) / deviation) ** 2 for day, value, deviation in observed) / 2


def root(c):
    """The lower Cholesky factor of a covariance."""
    n = len(c)
    l = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = c[i][j] - sum(l[i][k] * l[j][k] for k in range(j))
            l[i][j] = math.sqrt(rest) if i == j else rest / l[j][j]
    return l


def covariance(points):
    n, size = len(points), len(points[0])
    mean = [sum(column) / n for column in zip(*points)]
    return [
        [sum((p[i] - mean[i]) * (p[j] - mean[j]) for p in points) / n + 1e-12 * (i == j) for j in range(size)]
        for i in range(size)
    ]


def chain(seed):
    draw, observed = random.Random(seed), observations()
    u = [draw.uniform(0.4, 0.9), draw.uniform(0.1, 0.4), draw.uniform(2.0, 4.0)]
    now = log_posterior(u, observed)
    kept, scale = [], root([[1e-4, 0, 0], [0, 1e-4, 0], [0, 0, 1e-2]])
    for step in range(STEPS):
        # The covariance is learnt while the chain's beginning, which is left out, lasts.
        if step in (1000, 2000, 4000, 8000):
            scale = [[2.38 / math.sqrt(3) * x for x in row] for row in root(covariance(kept[step // 2 :]))]
        xi = [draw.gauss(0, 1) for _ in u]
        new = [x + sum(l * z for l, z in zip(row, xi)) for x, row in zip(u, scale)]
        there = log_posterior(new, observed)
        if math.log(1.0 - draw.random()) < there - now:
            u, now = new, there
        kept.append(u)
    return [(a, b, math.exp(c)) for a, b, c in kept[FIRST:]]


if __name__ == "__main__":
    with Pool(4) as pool:
        chains = pool.map(chain, range(4))
    print("name,mean,deviation,q05,q50,q95,apart")
    for i, name in enumerate(NAMES):
        means = [sum(p[i] for p in c) / len(c) for c in chains]
        values = sorted(p[i] for c in chains for p in c)
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        q = [values[int(share * len(values))] for share in (0.05, 0.5, 0.95)]
        # How far the chains' means lie apart, in deviations: what the answer itself is uncertain by.
        apart = (max(means) - min(means)) / deviation
        print(name, *(f"{x:.6g}" for x in (mean, deviation, *q, apart)), sep=",")
