"""scikit-learn's grid search on the cluster: `n_jobs` counts the slots of all workers that take any function.

Start `simpledist-worker --any` here and on other machines (with scikit-learn installed), then run this. Without a
worker it uses the processes that joblib starts anyway.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

import time
from typing import Any

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import simpledist.joblib


def search() -> Any:
    """Return the best of some support vector machines for handwritten digits."""
    images, digits = load_digits(return_X_y=True)
    return GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [1e-4, 1e-3, 1e-2]}, cv=3).fit(images[:600], digits[:600])


def main() -> None:
    with simpledist.connect() as client, joblib.parallel_config(backend="simpledist", client=client):
        began = time.monotonic()
        best = search()
        print(f"{best.best_params_} is right in {best.best_score_:.1%} of the cases ({time.monotonic() - began:.1f} s)")


if __name__ == "__main__":
    main()
