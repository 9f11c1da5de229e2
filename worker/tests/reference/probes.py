"""Writes probes.json: nearest class mean and logistic regression by scikit-learn on small random data.

Each case has a training part (`X` [n, d] row-major, `y`) and held-out points (`X_test`, `y_test`); both probes are fitted on the training
part and predict both.

- `nearest_mean`: `means` [classes, d]; `predictions` and `predictions_test`; the margin of a prediction is the distance to the
  second-nearest mean less that to the nearest.
- `logistic`: minimises sum(cross-entropy) + |coef|^2 / 2 with the intercepts free, which is scikit-learn's C = 1. Two classes have one
  weight vector (`coef` [1, d]; class 1 where the decision value is above 0), more have one each (`coef` [classes, d], softmax). A common
  shift of the intercepts of a softmax changes nothing; here they sum to 0. `loss` is the minimum. The margin of a prediction is the
  decision value's magnitude, or the best less the second-best one.

A test can leave out predictions with a tiny margin: another solver, or float32, may land on the other side.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python probes.py
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

TOLERANCE = 1e-10
# Norm of the objective's gradient that a fit must reach, and the distance that another solver's coefficients may have.
GRADIENT_NORM_MAX = 1e-7
SOLVERS_APART_MAX = 1e-5

# name, n, n_test, d, classes, radius of the circle on which the class means stand (small: the classes overlap), scale of the features
CASES = [
    ("two classes, overlapping", 60, 20, 3, 2, 1.0, 1.0),
    ("two classes, separable", 30, 12, 2, 2, 6.0, 1.0),
    ("two classes, many features, small values", 40, 16, 8, 2, 1.5, 0.05),
    ("two classes, no difference", 50, 20, 4, 2, 0.0, 1.0),
    ("two classes, one feature constant", 40, 16, 3, 2, 1.0, 1.0),
    ("three classes, overlapping", 75, 24, 4, 3, 1.2, 1.0),
    ("three classes, separable, large values", 45, 18, 2, 3, 6.0, 5.0),
    ("three classes, unequal sizes", 60, 20, 5, 3, 1.5, 1.0),
    ("five classes, overlapping", 80, 30, 6, 5, 1.0, 1.0),
    ("five classes, mostly apart", 80, 30, 8, 5, 2.5, 1.0),
]


def class_means(random, d, classes, radius):
    """Evenly on a circle in a plane at random, [classes, d]."""
    angles = 2 * np.pi * np.arange(classes) / classes
    plane = np.linalg.qr(random.standard_normal((d, 2)))[0]
    return radius * np.column_stack([np.cos(angles), np.sin(angles)]) @ plane.T


def sample(random, n, means, scale, name):
    """Points around the means of their classes; every class occurs, equally often unless the case says otherwise."""
    classes, d = means.shape
    y = np.arange(n) % classes
    if "unequal" in name:
        y[random.random(n) < 0.6] = 0
        y[:classes] = np.arange(classes)
    x = (means[y] + random.standard_normal((n, d))) * scale
    if "constant" in name:
        x[:, -1] = 0.5
    return np.round(x, 4), y


def rounded(array):
    return [float(f"{value:.12g}") for value in np.asarray(array, dtype=float).ravel()]


def second_best_gap(scores):
    ordered = np.sort(scores, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def nearest_mean(x, y, x_test):
    fitted = NearestCentroid().fit(x, y)

    def margins(points):
        distances = np.linalg.norm(points[:, None] - fitted.centroids_, axis=2)
        return second_best_gap(-distances)

    return {
        "means": rounded(fitted.centroids_),
        "predictions": fitted.predict(x).tolist(),
        "predictions_test": fitted.predict(x_test).tolist(),
        "margins": rounded(margins(x)),
        "margins_test": rounded(margins(x_test)),
    }


def objective(coef, intercept, x, y):
    """The minimised loss and the norm of its gradient, written out."""
    decision = x @ coef.T + intercept
    if len(coef) == 1:
        decision = np.hstack([np.zeros_like(decision), decision])
    decision = decision - decision.max(axis=1, keepdims=True)
    log_p = decision - np.log(np.exp(decision).sum(axis=1, keepdims=True))
    residual = np.exp(log_p) - np.eye(decision.shape[1])[y]
    residual = residual[:, -len(coef) :]
    gradient = np.concatenate([(residual.T @ x + coef).ravel(), residual.sum(axis=0)])
    return (coef**2).sum() / 2 - log_p[np.arange(len(y)), y].sum(), np.linalg.norm(gradient)


def fit_logistic(x, y, solver):
    fitted = LogisticRegression(C=1.0, solver=solver, tol=TOLERANCE, max_iter=100_000).fit(x, y)
    if len(fitted.classes_) > 2:
        fitted.intercept_ -= fitted.intercept_.mean()
    return fitted


def logistic(x, y, x_test):
    fitted = fit_logistic(x, y, "newton-cholesky")
    loss, gradient_norm = objective(fitted.coef_, fitted.intercept_, x, y)
    assert gradient_norm < GRADIENT_NORM_MAX, gradient_norm
    other = fit_logistic(x, y, "lbfgs")
    apart = max(np.abs(fitted.coef_ - other.coef_).max(), np.abs(fitted.intercept_ - other.intercept_).max())
    assert apart < SOLVERS_APART_MAX * (1 + np.abs(fitted.coef_).max()), apart

    def margins(points):
        decision = fitted.decision_function(points)
        return np.abs(decision) if decision.ndim == 1 else second_best_gap(decision)

    return {
        "coef": rounded(fitted.coef_),
        "intercept": rounded(fitted.intercept_),
        "loss": rounded(loss)[0],
        "predictions": fitted.predict(x).tolist(),
        "predictions_test": fitted.predict(x_test).tolist(),
        "margins": rounded(margins(x)),
        "margins_test": rounded(margins(x_test)),
    }


def case(random, name, n, n_test, d, classes, radius, scale):
    means = class_means(random, d, classes, radius)
    x, y = sample(random, n, means, scale, name)
    x_test, y_test = sample(random, n_test, means, scale, name)
    return {
        "name": name,
        "n": n,
        "n_test": n_test,
        "d": d,
        "classes": classes,
        "X": rounded(x),
        "y": y.tolist(),
        "X_test": rounded(x_test),
        "y_test": y_test.tolist(),
        "nearest_mean": nearest_mean(x, y, x_test),
        "logistic": logistic(x, y, x_test),
    }


def main():
    random = np.random.default_rng(20250107)
    document = {
        "scikit-learn": sklearn.__version__,
        "layout": "row-major; X [n, d], means [classes, d], coef [1, d] for two classes, else [classes, d]",
        "cases": [case(random, *settings) for settings in CASES],
    }
    text = json.dumps(document, separators=(",", ":"))
    Path(__file__).with_name("probes.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
