"""The tables of a report by NumPy, SciPy, pandas and statsmodels, from the same parts: how long it takes, and whether the numbers agree.

    python peer.py STORE STUDY REPORT

STORE is a folder store, and REPORT a report of STUDY in it by `curvefleet report`. For every table a line says how long it took here and
the largest relative difference to the report's; resampled numbers, which rest on other draws, are told apart. Exit code 1 where a number
that is not resampled differs by more than its limit.
"""

import itertools
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.oneway import anova_oneway

METRICS = ["start", "end", "max", "tmax", "end_minus_start"]
# What a study compares unless its [analysis] says otherwise.
COMPARED = METRICS[:4]
CELL = ["data", "model", "condition", "labels"]
RESAMPLES = 10_000


def median_of_three(a, b, c):
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def repeated_medians(x):
    """R's "3R" with Tukey's end rule, on the columns of `x` [time, curve]."""
    y = x.copy()
    while True:
        inside = median_of_three(y[:-2], y[1:-1], y[2:])
        if np.array_equal(inside, y[1:-1]):
            break
        y[1:-1] = inside
    first = median_of_three(3 * y[1] - 2 * y[2], x[0], y[1])
    last = median_of_three(y[-2], x[-1], 3 * y[-2] - 2 * y[-3])
    y[0], y[-1] = first, last
    return y


def two_flat(x, i):
    rises = (x[i - 1] <= x[i]) & (x[i + 1] <= x[i + 2])
    falls = (x[i - 1] >= x[i]) & (x[i + 1] >= x[i + 2])
    return (x[i] == x[i + 1]) & ~rises & ~falls


def pull(point, neighbour, extrapolated, old):
    """Where R's `sptest3` moves a point; the old value where it is the median itself."""
    between = lambda a, b, c: ((a <= b) & (b <= c)) | ((a >= b) & (b >= c))
    second, third = between(point, neighbour, extrapolated), between(neighbour, extrapolated, point)
    return np.where(second, neighbour, np.where(third, extrapolated, old)), second | third


def smooth(x):
    """R's `smooth` with its defaults ("3RS3R"), on the columns of `x` [time, curve], five time steps or more."""
    m = repeated_medians(x)
    y, n = m.copy(), len(m)
    changed = two_flat(m, 1)
    y[1] = np.where(changed, m[0], y[1])
    y[2] = np.where(changed, median_of_three(m[2], m[3], 3 * m[3] - 2 * m[4]), y[2])
    for i in range(2, n - 3):
        flat = two_flat(m, i)
        if not flat.any():
            continue
        left, moved = pull(m[i], m[i - 1], 3 * m[i - 1] - 2 * m[i - 2], y[i])
        moved &= flat
        y[i] = np.where(flat, left, y[i])
        changed = np.where(moved, y[i] != m[i], changed)
        right, moved = pull(m[i + 1], m[i + 2], 3 * m[i + 2] - 2 * m[i + 3], y[i + 1])
        moved &= flat
        y[i + 1] = np.where(flat, right, y[i + 1])
        changed = np.where(moved, y[i + 1] != m[i + 1], changed)
    flat = two_flat(m, n - 3)
    y[n - 2] = np.where(flat, m[n - 1], y[n - 2])
    y[n - 3] = np.where(flat, median_of_three(m[n - 3], m[n - 4], 3 * m[n - 4] - 2 * m[n - 5]), y[n - 3])
    changed |= flat
    return np.where(changed, repeated_medians(y), m)


def metrics_table(store, study):
    manifest = parquet.read_table(store / "studies" / study / "manifest.parquet").to_pandas()
    done = manifest[manifest.state == "done"]
    parts = [parquet.read_table(store / part) for part in done.part.unique()]
    frames = []
    for part in parts:
        curves = np.stack(part.column("curve").to_numpy(zero_copy_only=False)).T
        smoothed = smooth(curves)
        frame = part.select(["run", "data", "condition", "labels", "model", "seed", "epoch"]).to_pandas()
        frame["start"], frame["end"], frame["max"] = smoothed[0], smoothed[-1], smoothed.max(axis=0)
        frame["tmax"] = (smoothed.argmax(axis=0) + 1) / len(smoothed)
        frame["end_minus_start"] = frame["end"] - frame["start"]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def condition_means(metrics):
    long = metrics.melt([*CELL, "epoch"], METRICS, "quantity")
    return long.groupby([*CELL, "epoch", "quantity"]).value.agg(["mean", "std"]).rename(columns={"std": "sd"}).reset_index()


def run_numbers(metrics):
    """One number per run: after the last epoch, and the area under the epoch curve."""
    # Run by run as they come, which is the plan's order of conditions.
    ordered = metrics
    last = ordered.groupby([*CELL, "run", "seed"], sort=False)[METRICS].last().reset_index()
    area = lambda curve: ((curve[1:] + curve[:-1]) / 2).sum() / (len(curve) - 1)
    rows = [
        (*key, *(round(area(epochs[metric].to_numpy()), 12) for metric in METRICS))
        for key, epochs in ordered.groupby([*CELL, "run", "seed"], sort=False)
    ]
    areas = pd.DataFrame(rows, columns=[*CELL, "run", "seed", *METRICS])
    return {"final": last, "area": areas}


def samples(frame, metric):
    groups = frame[frame.labels == "true"].sort_values("seed", kind="stable").groupby("condition", sort=False)
    return {condition: rows[metric].to_numpy() for condition, rows in groups}


def outcomes(numbers):
    for summary, frame in numbers.items():
        for metric in COMPARED:
            for (data, model), rows in frame.groupby(["data", "model"], sort=False):
                yield dict(data=data, model=model, metric=metric, summary=summary), rows


def tests(numbers):
    found = []
    for key, rows in outcomes(numbers):
        groups = list(samples(rows, key["metric"]).values())
        every = np.concatenate(groups)
        within = sum(((group - group.mean()) ** 2).sum() for group in groups)
        total = ((every - every.mean()) ** 2).sum()
        df = len(groups) - 1, len(every) - len(groups)
        welch = anova_oneway(groups, use_var="unequal", welch_correction=True)
        kruskal, levene = stats.kruskal(*groups), stats.levene(*groups, center="median")
        found.append(key | {
            "eta_squared": 1 - within / total,
            "omega_squared": max(0.0, (total - within - df[0] * within / df[1]) / (total + within / df[1])),
            "welch_f": welch.statistic, "welch_df2": welch.df_denom, "welch_p": welch.pvalue,
            "kruskal_h": kruskal.statistic, "kruskal_p": kruskal.pvalue,
            "levene_f": levene.statistic, "levene_p": levene.pvalue,
        })
    return pd.DataFrame(found)


def hedges_g(a, b):
    df = len(a) + len(b) - 2
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / df)
    from scipy.special import gammaln
    return (a.mean() - b.mean()) / pooled * np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2)


def probability(a, b, axis=-1):
    """P(A > B), ties counting one half, from ranks; along an axis, as `scipy.stats.bootstrap` asks."""
    n, m = a.shape[axis], b.shape[axis]
    ranks = stats.rankdata(np.concatenate([a, b], axis=axis), axis=axis)
    of_a = np.take(ranks, range(n), axis=axis).sum(axis=axis)
    return (of_a - n * (n + 1) / 2) / (n * m)


def pairs(numbers):
    found = []
    for key, rows in outcomes(numbers):
        groups = samples(rows, key["metric"])
        tukey = stats.tukey_hsd(*groups.values())
        of_outcome = []
        for (i, (first, a)), (j, (second, b)) in itertools.combinations(enumerate(groups.items()), 2):
            welch = stats.ttest_ind(a, b, equal_var=False)
            errors = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
            q = abs(a.mean() - b.mean()) / np.sqrt(sum(errors) / 2)
            of_outcome.append(key | {
                "first": first, "second": second, "difference": a.mean() - b.mean(), "hedges_g": hedges_g(a, b),
                "probability": probability(a, b), "welch_t": welch.statistic, "welch_df": welch.df, "welch_p": welch.pvalue,
                "games_howell_q": q, "games_howell_p": stats.studentized_range.sf(q, len(groups), welch.df), "tukey_p": tukey.pvalue[i, j],
            })
        corrected = multipletests([pair["welch_p"] for pair in of_outcome], method="holm")[1]
        found.extend(pair | {"corrected_p": p} for pair, p in zip(of_outcome, corrected))
    return pd.DataFrame(found)


def probability_intervals(numbers):
    """BCa intervals of P(A > B) for the pairs of each outcome."""
    found = []
    for key, rows in outcomes(numbers):
        groups = samples(rows, key["metric"])
        for (first, a), (second, b) in itertools.combinations(groups.items(), 2):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                interval = stats.bootstrap(
                    (a, b), probability, n_resamples=RESAMPLES, method="BCa", vectorized=True, rng=np.random.default_rng(1)
                ).confidence_interval
            found.append(key | {"first": first, "second": second, "probability_low": interval.low, "probability_high": interval.high})
    return pd.DataFrame(found)


def controls(numbers):
    found = []
    for key, rows in outcomes(numbers):
        for condition, both in rows.groupby("condition", sort=False):
            a = both[both.labels == "true"][key["metric"]].to_numpy()
            b = both[both.labels == "shuffled"][key["metric"]].to_numpy()
            welch = stats.ttest_ind(a, b, equal_var=False)
            permuted = stats.permutation_test(
                (a, b), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), n_resamples=RESAMPLES, vectorized=True,
                rng=np.random.default_rng(1),
            )
            found.append(key | {
                "condition": condition, "selectivity": a.mean() - b.mean(), "hedges_g": hedges_g(a, b), "welch_t": welch.statistic,
                "welch_p": welch.pvalue, "permutation_p": permuted.pvalue,
            })
    return pd.DataFrame(found)


def mixed_model(metrics):
    """The variances of metric ~ epoch * condition + (1 | run) where all conditions have as many runs and epochs: those of the analysis of
    variance, which REML's are then. statsmodels' MixedLM fits the same model; on such data it can end at a run variance of 0."""
    found = []
    for (data, model), rows in metrics[metrics.labels == "true"].groupby(["data", "model"], sort=False):
        for metric in COMPARED:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit = smf.mixedlm(f"{metric} ~ epoch * C(condition)", rows, groups=rows.run).fit(reml=True, method="lbfgs")
            values = rows.pivot_table(index=["condition", "run"], columns="epoch", values=metric).to_numpy()
            values = values.reshape(rows.condition.nunique(), -1, rows.epoch.nunique())
            conditions, runs, epochs = values.shape
            centred = np.arange(epochs) - (epochs - 1) / 2
            means = values.mean(axis=2)
            within = values - means[:, :, None]
            slopes = (within * centred).sum(axis=(1, 2)) / (runs * (centred**2).sum())
            residual = ((within - slopes[:, None, None] * centred) ** 2).sum() / (conditions * runs * (epochs - 1) - conditions)
            between = ((means - means.mean(axis=1, keepdims=True)) ** 2).sum() / (conditions * (runs - 1))
            found.append({
                "data": data, "model": model, "metric": metric, "run_variance": max(0.0, between - residual / epochs),
                "residual_variance": residual, "statsmodels_run_variance": fit.cov_re.iloc[0, 0],
            })
    return pd.DataFrame(found)


def significance(metrics):
    true = metrics[metrics.labels == "true"]
    formulas = {
        "true or shuffled labels": ("C(labels)", metrics), "condition": ("C(condition)", true), "epoch": ("epoch", true),
        "epoch × condition": ("epoch * C(condition)", true),
    }
    found = []
    for metric in METRICS[:4]:
        for data in metrics["data"].unique():
            for name, (right, rows) in formulas.items():
                fit = smf.ols(f"{metric} ~ {right}", rows[rows["data"] == data]).fit()
                found.append({
                    "metric": metric, "data": data, "explained_by": name, "f": fit.fvalue, "r_squared": fit.rsquared,
                    "adjusted_r_squared": fit.rsquared_adj, "rss": fit.ssr, "log_likelihood": fit.llf,
                })
    return pd.DataFrame(found)


def interquartile_means(numbers):
    found = []
    frame = numbers["final"]
    for (data, model, labels), rows in frame.groupby(["data", "model", "labels"], sort=False):
        for metric in COMPARED:
            found.append({"data": data, "model": model, "labels": labels, "metric": metric,
                          "interquartile_mean": stats.trim_mean(rows[metric], 0.25)})
    return pd.DataFrame(found)


def difference(ours, theirs, keys):
    """The largest relative difference of the shared columns, and where it is. Beside 1e-9 a number counts as 0."""
    joined = ours.merge(theirs, on=keys, suffixes=("", "_report"))
    if len(joined) != len(ours):
        return np.inf, f"{len(joined)} of {len(ours)} rows are in the report"
    worst, where = 0.0, ""
    for column in (column for column in ours.columns if column not in keys):
        a, b = joined[column].to_numpy(float), joined[f"{column}_report"].to_numpy(float)
        tiny = (np.abs(a) < 1e-9) & (np.abs(b) < 1e-9)
        relative = np.where(tiny, 0.0, np.abs(a - b) / np.maximum(np.abs(b), 1e-9))
        relative = np.where(np.isnan(a) & np.isnan(b), 0.0, np.where(np.isnan(relative), np.inf, relative))
        if relative.max() > worst:
            worst, where = relative.max(), column
    return worst, where


def main():
    store, study, report = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    tables = store / "studies" / study / "reports" / report / "tables"
    read = lambda name: pd.read_parquet(tables / f"{name}.parquet")
    outcome = ["data", "model", "metric", "summary"]
    began, state = time.perf_counter(), {}
    # Name here, the report's table, what rows are joined by, what makes it, and how much it may differ (None: resampled).
    jobs = [
        ("metrics", "metrics", ["run", "epoch"], lambda: state.setdefault("metrics", metrics_table(store, study)), 0.0),
        ("condition_means", "condition_means", [*CELL, "epoch", "quantity"], lambda: condition_means(state["metrics"]), 1e-9),
        ("run numbers", None, [], lambda: state.setdefault("numbers", run_numbers(state["metrics"])), None),
        ("tests", "tests", outcome, lambda: tests(state["numbers"]), 1e-8),
        ("pairs", "pairs", [*outcome, "first", "second"], lambda: pairs(state["numbers"]), 1e-4),
        ("pairs: bootstrap", "pairs", [*outcome, "first", "second"], lambda: probability_intervals(state["numbers"]), None),
        ("controls", "controls", [*outcome, "condition"], lambda: controls(state["numbers"]), None),
        ("mixed_model", "mixed_model", ["data", "model", "metric"], lambda: mixed_model(state["metrics"]), 1e-9),
        ("significance", "significance", ["metric", "data", "explained_by"], lambda: significance(state["metrics"]), 1e-9),
        ("interquartile_means", "interquartile_means", ["data", "model", "metric", "labels"], lambda: interquartile_means(state["numbers"]), 1e-9),
    ]
    failed = False
    for name, table, keys, make, limit in jobs:
        start = time.perf_counter()
        made = make()
        line = {"table": name, "seconds": round(time.perf_counter() - start, 2)}
        if table is not None:
            theirs = read(table)
            if name == "mixed_model":
                theirs = theirs.drop_duplicates(keys)
            numbers = made.select_dtypes("number").columns
            made = made[keys + [column for column in numbers if column in theirs.columns and column not in keys]]
            worst, where = difference(made, theirs, keys)
            line |= {"rows": len(made), "largest_relative_difference": float(f"{worst:.3g}"), "in": where}
            if limit is not None and worst > limit:
                failed, line["too_much"] = True, True
        print(json.dumps(line), flush=True)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "seconds": round(time.perf_counter() - began, 2), "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mb": usage.ru_maxrss // 1000,
    }))
    sys.exit(failed)


if __name__ == "__main__":
    main()
