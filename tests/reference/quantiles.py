#!/usr/bin/env python3
"""Quantiles of the laws of model.prior from scipy, for src/forward/marginal/tests.rs.

    python3 tests/reference/quantiles.py > tests/reference/quantiles.txt

Made with scipy 1.17.1 and mpmath 1.4.1. A line is law: numbers | xi | the quantile at the probability Phi(xi). Laws that are given by the mean and
deviation of the variable are solved here by scipy's adaptive quadrature and root finder, not by the program's formulas.
Quantiles of the truncated normal law are found with 40 digits by mpmath: scipy's agree to 1e-9 only in its upper tail.
"""

import mpmath
import numpy as np
from scipy import integrate, optimize, special, stats

XI = [-6.0, -3.1, -1.0, -0.25, 0.0, 0.7, 2.0, 4.5, 6.0]


def quantile(law, xi):
    """From the tail in which xi lies, so that no digits are lost."""
    return law.ppf(special.ndtr(xi)) if xi < 0 else law.isf(special.ndtr(-xi))


def log_moments(m, s):
    """mu, sigma of the lognormal law whose mean and deviation are m and s."""
    def gap(x):
        law = stats.lognorm(s=np.exp(x[1]), scale=np.exp(x[0]))
        return [np.log(law.mean() / m), np.log(law.std() / s)]
    x = optimize.root(gap, [np.log(m), np.log(s / m)], tol=1e-15).x
    return x[0], np.exp(x[1])


def logit_moments(m, s):
    """mu, sigma of the logit-normal law on (0, 1) whose mean and deviation are m and s."""
    def moment(f, mu, sigma):
        # The integrand varies where the logit is near 0.
        points = sorted({max(-12.0, min(12.0, -mu / sigma)), 0.0})
        total = 0.0
        for a, b in zip([-13.0, *points], [*points, 13.0]):
            total += integrate.quad(lambda x: f(special.expit(mu + sigma * x)) * stats.norm.pdf(x), a, b,
                                    epsabs=1e-15, epsrel=1e-13, limit=500)[0]
        return total

    def gap(x):
        mu, sigma = x[0], np.exp(x[1])
        return [moment(lambda t: t - m, mu, sigma) / s,
                moment(lambda t: (t - m) ** 2, mu, sigma) / s**2 - 1]

    found = optimize.root(gap, [special.logit(m), np.log(s / (m * (1 - m)))], tol=1e-13)
    assert max(abs(np.array(gap(found.x)))) < 1e-11, (m, s, found)
    return found.x[0], np.exp(found.x[1])


def truncated(m, s, a, b, xi):
    """The root x of (Phi(x) - Phi(alpha)) / (Phi(beta) - Phi(alpha)) = Phi(xi), as m + s x."""
    mpmath.mp.dps = 40
    alpha, beta = ((mpmath.mpf(x) - m) / mpmath.mpf(s) for x in (a, b))
    share = mpmath.ncdf(xi)
    wanted = mpmath.ncdf(alpha) * (1 - share) + mpmath.ncdf(beta) * share
    guess = stats.truncnorm(float(alpha), float(beta)).ppf(special.ndtr(xi))
    x = mpmath.findroot(lambda x: mpmath.ncdf(x) - wanted, guess, tol=1e-70)
    return m + mpmath.mpf(s) * x


def lines(text, at):
    for xi in XI:
        print(f"{text}|{xi!r}|{float(at(xi))!r}")


def main():
    print("# Written by quantiles.py.")
    for m, s in [(-3, 2), (1e5, 1e-2)]:
        lines(f"normal: {m} {s}", lambda xi: quantile(stats.norm(m, s), xi))
    for m, s in [(2, 0.5), (0.01, 0.02)]:
        mu, sigma = log_moments(m, s)
        lines(f"lognormal: {m} {s}", lambda xi: quantile(stats.lognorm(s=sigma, scale=np.exp(mu)), xi))
    lines("lognormal of log: -1.5 0.8", lambda xi: quantile(stats.lognorm(s=0.8, scale=np.exp(-1.5)), xi))
    lines("uniform: -1 5", lambda xi: quantile(stats.uniform(-1, 6), xi))
    for a, b in [(1e-7, 0.3), (2, 3)]:
        lines(f"loguniform: {a} {b}", lambda xi: quantile(stats.loguniform(a, b), xi))
    for m, s, a, b in [(0, 1, -1, 2), (5, 2, 0, np.inf), (1, 0.5, -np.inf, 0), (-3, 1, 1, 2), (10, 1, -4, 3)]:
        lines(f"truncnormal: {m} {s} {a} {b}", lambda xi: truncated(m, s, a, b, xi))
    for a, c, b in [(0, 1, 5), (-2, -2, 1), (3, 4, 4)]:
        law = stats.triang((c - a) / (b - a), a, b - a)
        lines(f"triangular: {a} {c} {b}", lambda xi: quantile(law, xi))
    for m, s, a in [(1, 0.5, 0), (12, 5, 10)]:
        mu, sigma = log_moments(m - a, s)
        law = stats.lognorm(s=sigma, scale=np.exp(mu), loc=a)
        lines(f"bounded: {m} {s} {a} inf", lambda xi: quantile(law, xi))
    mu, sigma = log_moments(0.5, 0.2)
    lines("bounded: 2.5 0.2 -inf 3", lambda xi: 3 - quantile(stats.lognorm(s=sigma, scale=np.exp(mu)), -xi))
    for m, s, a, b in [(0.3, 0.1, 0, 1), (0.5, 0.35, 0, 1), (20, 30, 10, 200), (-1, 0.01, -2, 3)]:
        mu, sigma = logit_moments((m - a) / (b - a), s / (b - a))
        lines(f"bounded: {m} {s} {a} {b}", lambda xi: a + (b - a) * special.expit(mu + sigma * xi))


if __name__ == "__main__":
    main()
