"""Tails of the noncentral t, the noncentral F and the studentized range by mpmath and NumPy, for tests/tails.rs.

    python tails.py > tails.json        (mpmath 1.3, NumPy 2, SciPy 1.17; a minute)

Every value is an integral or a sum of the definition, by other quadrature than the crate's; the first two in 30 digits.
"""
import json

import numpy as np
from mpmath import betainc, erfc, exp, gamma, log, mp, mpf, quad, sqrt
from scipy.special import gammaln, log_ndtr, logsumexp

mp.dps = 30


def normal_upper(z):
    return erfc(z / sqrt(2)) / 2


def scale_density(s, df):
    """Density of sqrt(chi-square / df) at s."""
    a = mpf(df) / 2
    return 2 * a**a / gamma(a) * s ** (df - 1) * exp(-a * s * s)


def noncentral_t(t, df, delta):
    def integrand(s):
        return scale_density(s, df) * normal_upper(t * s - delta)

    grid = [mpf(i) / 400 for i in range(1, 4000)]
    peak = max(grid, key=integrand)
    width = 1 / sqrt(2 * mpf(df) + mpf(t) ** 2)
    points = [mpf(0)] + [peak + i * width for i in range(-24, 25) if peak + i * width > 0] + [peak + 60 * width]
    return quad(integrand, points)


def noncentral_f(f, d1, d2, lam):
    """Upper tail: the Poisson mixture of beta tails."""
    x = mpf(d1) * f / (mpf(d1) * f + d2)
    half = mpf(lam) / 2
    total, weight, count = mpf(0), exp(-half), 0
    while True:
        term = weight * betainc(mpf(d2) / 2, mpf(d1) / 2 + count, 0, 1 - x, regularized=True)
        total += term
        if count > half and term < total * mpf(10) ** -25:
            return total
        count += 1
        weight *= half / count


def studentized_range(q, k, df):
    """Brute force in double precision: midpoint sums over the scale s itself and over the smallest of the k values."""
    a = df / 2
    peak = 1 / np.sqrt(1 + q**2 / (2 * df))
    width = peak / np.sqrt(2 * df)
    low, high = max(0, peak - 14 * width), peak + 16 * width
    s = low + (high - low) * (np.arange(4000) + 0.5) / 4000
    ln_density = np.log(2) + a * np.log(a) - gammaln(a) + (df - 1) * np.log(s) - a * s * s
    z = np.arange(-60, 10, 0.02)
    ln_q = log_ndtr(-z)
    ln_weight = np.log(k * 0.02) - z * z / 2 - np.log(2 * np.pi) / 2 + (k - 1) * ln_q
    beyond = np.minimum(np.exp(log_ndtr(-(z + q * s[:, None])) - ln_q), 1 - 1e-16)
    ln_range = logsumexp(ln_weight + np.log(-np.expm1((k - 1) * np.log1p(-beyond))), axis=1)
    return exp(mpf(logsumexp(ln_density + ln_range) + np.log((high - low) / 4000)))


def row(names, arguments, value):
    return {**dict(zip(names, arguments)), "upper": float(value), "ln_upper": float(log(value))}


T = [(0, 1, 0.5), (2, 4.5, 1), (2, 38, 0), (-1.5, 10, 2), (12, 38, 3), (100, 4, 1), (-176.5, 598, -170), (60, 598, 20), (1, 3, 30), (-5, 20, 4)]
F = [(1, 3, 7, 0), (2.5, 1, 5, 4), (3.07, 14, 285, 9.6), (3.07, 14, 285, 58.9), (0.2, 4, 40, 60), (50, 2, 30, 1), (1100, 14, 285, 12000), (400, 2, 12, 3)]
Q = [(3.5, 2, 4.5), (3.5, 3, 10), (8, 15, 285), (20, 15, 285), (120, 15, 285), (40, 6, 8)]

print(json.dumps({
    "noncentral_t": [row(("t", "df", "delta"), a, noncentral_t(*a)) for a in T],
    "noncentral_f": [row(("f", "d1", "d2", "lambda"), a, noncentral_f(*a)) for a in F],
    "studentized_range": [row(("q", "means", "df"), a, studentized_range(*a)) for a in Q],
}, indent=1))
