"""Writes stats.json: constants from SciPy and NumPy that the Rust statistics must reproduce.

Run: python tests/golden/stats.py > tests/golden/stats.json   (NumPy, SciPy >= 1.7)
"""

import itertools
import json
import sys

import numpy as np
import scipy
from scipy import stats

units6 = [0.31, -0.12, 0.05, 0.44, 0.27, -0.03]
units20 = [round(float(x), 6) for x in np.random.default_rng(3).gamma(2.0, 0.05, 20) - 0.07]
tail40 = [round(float(x), 6) for x in np.random.default_rng(5).lognormal(-2.0, 1.5, 40)]


def every_resample(units):
    """The exact bootstrap distribution of the mean: all n^n resamples."""
    index = np.array(list(itertools.product(range(len(units)), repeat=len(units))))
    return np.asarray(units)[index].mean(axis=1)


def wilson(k, n, level):
    ci = stats.binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    return {"successes": k, "trials": n, "level": level, "low": ci.low, "high": ci.high}


def sign_flip(units, resamples):
    """All 2^n sign assignments, or so many random ones."""
    x = np.array(units)
    test = stats.permutation_test(
        (x, np.zeros_like(x)), lambda a, b, axis: np.mean(a - b, axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=resamples or np.inf,
        batch=10_000, rng=np.random.default_rng(13),
    )
    return float(test.pvalue)


exact6 = every_resample(units6)
boot20 = stats.bootstrap(
    (np.array(units20),), np.mean, n_resamples=400_000, batch=20_000, method="percentile",
    rng=np.random.default_rng(11),
).confidence_interval

json.dump(
    {
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
        "z": {"0.95": stats.norm.ppf(0.975), "0.99": stats.norm.ppf(0.995)},
        "bootstrap_exact": {
            "units": units6,
            "mean": float(np.mean(units6)),
            "low": float(np.quantile(exact6, 0.025)),
            "high": float(np.quantile(exact6, 0.975)),
        },
        "bootstrap_scipy": {
            "units": units20,
            "mean": float(np.mean(units20)),
            "low": float(boot20.low),
            "high": float(boot20.high),
        },
        "sign_flip": [
            {"units": units, "p": sign_flip(units, resamples), "exact": resamples is None}
            for units, resamples in [(units6, None), (units20[:12], None), (units20, 500_000)]
        ],
        "wilson": [
            wilson(k, n, level)
            for k, n in [(0, 9), (1, 9), (7, 9), (9, 9), (50, 100), (171, 200)]
            for level in (0.95, 0.99)
        ],
        "mcnemar": [
            {"only_first": b, "only_second": c, "p": float(stats.binomtest(b, b + c, 0.5).pvalue)}
            for b, c in [(1, 0), (0, 5), (3, 8), (10, 10), (40, 20), (4, 19), (480, 560)]
        ],
        "quantiles": {
            "values": tail40,
            "mean": float(np.mean(tail40)),
            **{n: float(np.quantile(tail40, q))
               for n, q in [("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)]},
        },
    },
    sys.stdout,
    indent=1,
)
print()
