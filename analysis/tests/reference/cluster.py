"""The cluster-based permutation test by SciPy and NumPy, over all assignments, on made-up maps.

python cluster.py <folder> writes cluster.json there: the maps of 4 and 3 runs (6 epochs x 9 steps), t of every cell, the clusters and
the largest mass of every assignment, for Welch's and Student's t. The maps have a raised patch, cells that do not vary at all, and
cells that do not vary in one condition. NumPy 2.4, SciPy 1.17.
"""
import itertools
import json
import pathlib
import sys
import warnings

import numpy as np
from scipy import ndimage, stats

warnings.simplefilter("ignore")
EPOCHS, STEPS, FIRST, SECOND, LEVEL = 6, 9, 4, 3, 0.05
generator = np.random.default_rng(20250612)
maps = np.round(0.6 + 0.05 * generator.standard_normal((FIRST + SECOND, EPOCHS, STEPS)), 4)
maps[:FIRST, 2:5, 4:8] += 0.12
maps[FIRST:, 0:2, 6:9] += 0.09
maps[:, 0, 0] = 0.5
maps[:FIRST, 5, 0] = 0.5
maps = np.round(maps, 4)
threshold = stats.t.isf(LEVEL / 2, FIRST + SECOND - 2)


def statistic(first, second, pooled):
    t = stats.ttest_ind(first, second, axis=0, equal_var=pooled).statistic
    return np.where(np.isnan(t), 0.0, t)


def clusters(t):
    found = []
    for sign in (1, -1):
        labels, count = ndimage.label(sign * t > threshold)
        for label in range(1, count + 1):
            inside = labels == label
            found.append((float(t[inside].sum()), sorted(int(c) for c in np.flatnonzero(inside))))
    return sorted(found, key=lambda cluster: -abs(cluster[0]))


def answer(pooled):
    t = statistic(maps[:FIRST], maps[FIRST:], pooled)
    null = []
    for chosen in itertools.combinations(range(FIRST + SECOND), FIRST):
        others = [run for run in range(FIRST + SECOND) if run not in chosen]
        masses = [abs(mass) for mass, _ in clusters(statistic(maps[list(chosen)], maps[others], pooled))]
        null.append(max(masses, default=0.0))
    null = np.array(null)
    return {
        "t": t.ravel().tolist(),
        "null": np.sort(null).tolist(),
        "clusters": [
            {"mass": mass, "cells": cells, "p": float(np.mean(null >= abs(mass) * (1 - 1e-9)))}
            for mass, cells in clusters(t)
        ],
    }


result = {
    "steps": STEPS,
    "level": LEVEL,
    "threshold": float(threshold),
    "a": maps[:FIRST].reshape(FIRST, -1).tolist(),
    "b": maps[FIRST:].reshape(SECOND, -1).tolist(),
    "welch": answer(False),
    "pooled": answer(True),
}
pathlib.Path(sys.argv[1], "cluster.json").write_text(json.dumps(result) + "\n")
