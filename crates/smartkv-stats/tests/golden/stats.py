"""Writes stats.json: constants from SciPy and NumPy that the Rust statistics must reproduce.

Run: python tests/golden/stats.py > tests/golden/stats.json   (NumPy, SciPy >= 1.7)
"""

import itertools
import json
import sys

import numpy as np
import scipy
from scipy import optimize, special, stats

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


def wilcoxon(units):
    d = np.array(units)
    test = stats.wilcoxon(d)
    ranks = stats.rankdata(np.abs(d[d != 0]))
    positive, negative = (float(ranks[s * d[d != 0] > 0].sum()) for s in (1, -1))
    return {"units": units, "statistic": float(test.statistic), "p": float(test.pvalue),
            "rank_biserial": (positive - negative) / (positive + negative)}


def paired_t(units):
    test = stats.ttest_1samp(units, 0.0)
    return {"units": units, "t": float(test.statistic), "p": float(test.pvalue),
            "d_z": float(np.mean(units) / np.std(units, ddof=1))}


def cliffs_delta(a, b):
    """From the statistic of Mann and Whitney, which counts ties as a half."""
    u = float(stats.mannwhitneyu(a, b).statistic)
    return {"a": a, "b": b, "delta": 2 * u / (len(a) * len(b)) - 1}


def holm(p):
    """The definition, by hand: SciPy has no Holm."""
    order, least, adjusted = np.argsort(p, kind="stable"), 0.0, [0.0] * len(p)
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = least
    return {"p": p, "adjusted": adjusted}


def detectable_mean(sd, n, alpha, power):
    t = stats.t(n - 1)
    return {"sd": sd, "n": n, "alpha": alpha, "power": power,
            "detectable": float((t.ppf(1 - alpha / 2) + t.ppf(power)) * sd / np.sqrt(n))}


def detectable_mcnemar(share, n, alpha, power):
    """The root of the condition on the power itself."""
    def missing(d):
        z = (d * np.sqrt(n) - stats.norm.ppf(1 - alpha / 2) * np.sqrt(share))
        return stats.norm.cdf(z / np.sqrt(share - d * d)) - power
    root = optimize.brentq(missing, 0.0, share * (1 - 1e-9), xtol=1e-15, rtol=1e-14)
    return {"share": share, "n": n, "alpha": alpha, "power": power, "detectable": float(root)}


def table(f, *axes):
    """Finite values of a function over a grid of arguments."""
    rows = [[*map(float, x), float(f(*x))] for x in itertools.product(*axes)]
    return [row for row in rows if np.isfinite(row[-1])]


def ratio_of_means(a, b):
    """Paired: the same places are drawn from both."""
    def statistic(a, b, axis):
        return np.mean(b, axis=axis) / np.mean(a, axis=axis) - 1
    ci = stats.bootstrap(
        (np.array(a), np.array(b)), statistic, paired=True, n_resamples=400_000, batch=20_000,
        method="BCa", rng=np.random.default_rng(15),
    ).confidence_interval
    return {"a": a, "b": b, "value": float(np.mean(b) / np.mean(a) - 1), "low": float(ci.low),
            "high": float(ci.high)}


def hypervolume(points, reference):
    """The share of a fine grid that some point dominates, times its area: SciPy has none."""
    corner, cells = np.array(reference), 4000
    middles = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(middles * corner[0], middles * corner[1])
    covered = np.zeros_like(x, dtype=bool)
    for px, py in points:
        covered |= (x >= px) & (y >= py)
    return {"points": points, "reference": reference,
            "value": float(covered.mean() * corner.prod()), "tolerance": 2 / cells * 4}


exact6 = every_resample(units6)
bca20 = stats.bootstrap(
    (np.array(units20),), np.mean, n_resamples=400_000, batch=20_000, method="BCa",
    rng=np.random.default_rng(12),
).confidence_interval
bca40 = stats.bootstrap(
    (np.array(tail40),), np.mean, n_resamples=400_000, batch=20_000, method="BCa",
    rng=np.random.default_rng(14),
).confidence_interval
tied = [0.5, -0.5, 1.0, 0.0, 2.0, 2.0, -1.0, 3.0, 0.5]
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
        "bca": [
            {"units": units, "mean": float(np.mean(units)), "low": float(ci.low),
             "high": float(ci.high)}
            for units, ci in [(units20, bca20), (tail40, bca40)]
        ],
        "ratio_of_means": [
            ratio_of_means(tail40, [round(1.3 * x + 0.02, 6) for x in tail40]),
            ratio_of_means(
                [round(x + 0.2, 6) for x in units20],
                [round(float(y), 6) for y in np.random.default_rng(6).gamma(2.0, 0.05, 20)],
            ),
        ],
        "hypervolume": [
            hypervolume([[0.2, 0.9], [0.3, 0.5], [0.31, 0.7], [0.6, 0.1]], [1.0, 1.0]),
            hypervolume([[0.05, 1.5], [0.5, 0.3], [1.2, 0.1], [0.7, 2.5]], [1.0, 2.0]),
        ],
        "bootstrap_p": {
            "units": units6,
            "p": float(2 * min(np.mean(exact6 <= 1e-12), np.mean(exact6 >= -1e-12))),
        },
        "paired_t": [paired_t(u) for u in (units6, units20, tail40, tied)],
        "wilcoxon": [
            wilcoxon(u)
            for u in (units6, units20, tied, tied + tied, [x - 0.2 for x in tail40],
                      [round(x - 0.2, 1) for x in tail40],
                      [x - 0.2 for x in tail40] + units20)
        ],
        "cliffs_delta": [
            cliffs_delta(units6, units20),
            cliffs_delta([1.0, 2.0, 2.0, 3.0], [2.0, 2.0, 0.0]),
        ],
        "holm": [holm(p) for p in ([0.01, 0.04, 0.03, 0.005], [0.5, 0.6, 0.0001], [0.2, 0.2], [])],
        "detectable_mean": [
            detectable_mean(*x)
            for x in [(0.3, 2, 0.05, 0.8), (1.0, 10, 0.05, 0.8), (2.5, 200, 0.01, 0.9)]
        ],
        "detectable_mcnemar": [
            detectable_mcnemar(*x)
            for x in [(0.3, 200, 0.05, 0.8), (0.5, 40, 0.05, 0.8), (0.1, 1000, 0.01, 0.9)]
        ],
        "special": {
            "ln_gamma": table(special.gammaln, [1e-3, 0.5, 1, 1.5, 2, 3.7, 11.9, 12, 100, 1e6]),
            "beta_inc": table(special.betainc, [0.5, 1, 3, 40, 5000], [0.5, 2, 60],
                              [0.0, 1e-6, 0.1, 0.5, 0.93, 1 - 1e-6, 1.0]),
            "normal_cdf": table(special.ndtr, [-37, -8, -3.1, -2.9, -1, -1e-9, 0, 0.3, 2, 3.5, 9]),
            "normal_quantile": table(special.ndtri, [1e-300, 1e-12, 0.001, 0.02, 0.3, 0.5, 0.975,
                                                     0.9999]),
            "t_two_sided": table(lambda t, df: 2 * stats.t(df).sf(abs(t)),
                                 [-40, -2.1, 0, 1e-6, 0.7, 3, 200], [1, 2, 9.5, 30, 1e5]),
            "t_quantile": table(lambda p, df: stats.t(df).ppf(p),
                                [1e-6, 0.025, 0.5, 0.8, 0.975, 0.9999], [1, 2, 9.5, 30, 1e5]),
        },
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
