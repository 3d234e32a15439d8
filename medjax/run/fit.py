"""What a stage fits on its frozen outputs: probe weights, thresholds, a baseline hazard.

`System.fit` gives arrays by name. They are stored beside the weights, as `<stage>/fitted.npz`, and
come back to `build` as `artefacts["fitted"]`, here and wherever the weights predict.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np

from medjax.errors import UserError
from medjax.files import write_atomic
from medjax.run.evaluate import Predicted
from medjax.run.system import System

FITTED = "fitted.npz"


def fit(system: System, predicted: Predicted, folder: Path) -> dict[str, np.ndarray]:
    """Fit on what was predicted, write the arrays in a stage's folder and return them.

    Every process fits, on the same outputs; the first one writes.

    Raises:
        UserError: one of the splits to fit on is empty.
    """
    assert system.fit is not None
    for split in system.fit_splits:
        if not len(predicted[split][0]):
            raise UserError(
                f"stage {folder.name} is to be fitted on the {split} split: it is empty"
            )
    outputs = {split: predicted[split][1] for split in system.fit_splits}
    fitted = {name: np.asarray(array) for name, array in system.fit(outputs).items()}
    if jax.process_index() == 0:
        write_atomic(folder / FITTED, lambda path: save_arrays(path, fitted))
    return fitted


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays of numbers, booleans or text; equal arrays give equal bytes."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"fitted array {name!r} holds Python objects")
    named: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
    with open(path, "wb") as f:
        np.savez(f, **named)


def read_fitted(folder: Path) -> dict[str, np.ndarray]:
    """Return what was fitted in a stage's folder, {} where nothing was.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FITTED
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UserError(
            f"{path} is damaged: remove {folder / 'results.json'} and repeat the training command, "
            "which fits again"
        ) from error
