#!/usr/bin/env python3
"""Statistics of samples and scores of ensembles from NumPy and SciPy, for src/run/statistics and src/report/predictive.

    python3 tests/reference/answers.py > tests/reference/answers.txt

Made with NumPy 2.4.6 and SciPy 1.17.1. Lines are
    sample|the numbers|mean, deviation, five quantiles, jackknife errors of mean and deviation
    chi-square|degrees of freedom|quantiles 0.025, 0.5 and 0.975
    forecast|observation, deviation of the noise|members|mixture probability, fair CRPS, CRPS, z, mixture quantiles 0.05, 0.25, 0.5, 0.75, 0.95
The jackknife deletes group j mod G of G = min(J, 20) groups. The fair CRPS (Ferro 2014) is a plain double sum here. The
mixture is that of the normal laws about each member with the noise's deviation; its quantiles are found by brentq.
"""

import numpy as np
from scipy import optimize, stats


def text(numbers):
    return " ".join(repr(float(x)) for x in numbers)


def jackknife(values, statistic):
    groups = min(len(values), 20)
    number = np.arange(len(values)) % groups
    without = np.array([statistic(values[number != g]) for g in range(groups)])
    return np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())


def deviation(values):
    return values.std(ddof=1) if len(values) > 1 else np.nan


def sample(values):
    quantiles = np.quantile(values, [0.05, 0.16, 0.5, 0.84, 0.95])
    found = [values.mean(), deviation(values), *quantiles, jackknife(values, np.mean), jackknife(values, deviation)]
    print(f"sample|{text(values)}|{text(found)}")


def forecast(y, sigma, members):
    j = len(members)
    probability = stats.norm.cdf((y - members) / sigma).mean()
    apart = np.abs(members[:, None] - members[None, :]).sum()
    near = np.abs(members - y).mean()
    fair = near - apart / (2 * j * (j - 1))
    plain = near - apart / (2 * j * j)
    z = (y - members.mean()) / np.sqrt(sigma**2 + members.var(ddof=1))
    low, high = members.min() - 40 * sigma, members.max() + 40 * sigma
    root = [optimize.brentq(lambda x: stats.norm.cdf((x - members) / sigma).mean() - q, low, high, xtol=1e-14, rtol=1e-14)
            for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    print(f"forecast|{text([y, sigma])}|{text(members)}|{text([probability, fair, plain, z, *root])}")


def main():
    rng = np.random.default_rng(25)
    print("# Written by answers.py.")
    for j in (2, 3, 20, 23, 64):
        sample(np.round(rng.normal(3, 2, j), 6))
    for k in (1, 2, 5, 12, 100, 10_000, 1_000_000):
        print(f"chi-square|{k}|{text(stats.chi2(k).ppf([0.025, 0.5, 0.975]))}")
    for y, sigma, j in [(0.3, 0.5, 2), (1.7, 0.2, 3), (-4.0, 1.0, 12), (2.9, 0.01, 30)]:
        forecast(y, sigma, np.round(rng.normal(1, 1.5, j), 6))


if __name__ == "__main__":
    main()
