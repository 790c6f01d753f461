#!/usr/bin/env python3
"""Matern's correlation from scipy, for src/forward/random_field/matern.rs.

    python3 tests/reference/matern.py > tests/reference/matern.txt

Made with scipy 1.17.1 and mpmath 1.4.1. A line is nu, the distance in correlation lengths, the correlation: by scipy's Bessel function
kv, checked here against mpmath's besselk with 40 digits, which stands where scipy's result is not within 1e-12 of it.
"""

import mpmath
import numpy as np
from scipy import special

mpmath.mp.dps = 40


def exact(nu, r):
    x = mpmath.sqrt(2 * mpmath.mpf(nu)) * mpmath.mpf(r)
    return 2 ** (1 - mpmath.mpf(nu)) / mpmath.gamma(nu) * x**nu * mpmath.besselk(nu, x)


print("# Written by matern.py.")
for nu in [0.05, 0.3, 0.5, 0.77, 1.0, 1.5, 2.0, 2.5, 3.3, 4.5, 7.0, 10.5, 20.25, 50.0]:
    for r in [1e-6, 1e-3, 0.03, 0.1, 0.5, 1.0, 2.0, 4.0, 9.0, 30.0]:
        x = np.sqrt(2 * nu) * r
        by_scipy = 2 ** (1 - nu) / special.gamma(nu) * x**nu * special.kv(nu, x)
        true = float(exact(nu, r))
        number = by_scipy if abs(by_scipy / true - 1) < 1e-12 else true
        print(f"{nu} {r} {float(number)!r}")
