"""An `.npz` of one's own: numpy arrays `train_images, train_labels, test_images, test_labels` in one file.

`val_images` and `val_labels` may be there as well; else a validation split is held out. `class_names` may
name the classes. Such a file is written by `np.savez_compressed("mine.npz", train_images=..., ...)`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qshield_qiskit.data.arrays import (
    Array,
    Arrays,
    Part,
    check_classes,
    check_images,
    check_labels,
    one_line,
)
from qshield_qiskit.data.download import describe
from qshield_qiskit.errors import InputError

REQUIRED = ("train_images", "train_labels", "test_images", "test_labels")
OPTIONAL = ("val_images", "val_labels", "class_names")


def read_npz(path: Path, classes: Sequence[str] | None = None, published_md5: str | None = None) -> Arrays:
    """Read and check an .npz dataset.

    Args:
        path: The file.
        classes: Class names; else the file's own, else the numbers of the classes.
        published_md5: Its publisher's checksum, for the record.

    Returns:
        Its parts; images (N, F) are a table, whose features are scaled once the training part is known.

    Raises:
        InputError: The file is damaged, lacks a key, or holds something that is not a dataset.
    """
    stored = _read(path)
    missing = [key for key in REQUIRED if key not in stored]
    missing += [key for key in OPTIONAL[:2] if key not in stored and {*OPTIONAL[:2]} & {*stored}]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(stored) or 'nothing'}")
    parts = {
        name: _part(stored[f"{name}_images"], stored[f"{name}_labels"], f"{path}: {name}")
        for name in ("train", "val", "test")
        if f"{name}_images" in stored
    }
    layout = stored["train_images"].shape
    for key in ("val_images", "test_images"):
        # a table beside pixels would miss its scaling, or they would get it
        if key in stored and stored[key].ndim != len(layout):
            raise InputError(
                f"{path}: {key} has shape {stored[key].shape}, train_images {layout}; store all parts in one layout"
            )
    if classes is None and "class_names" in stored:
        classes = [str(name) for name in stored["class_names"].ravel()]
    names = check_classes([(f"{name}_labels", part) for name, part in parts.items()], str(path), classes)
    tabular = len(layout) == 2
    return Arrays(
        parts["train"], parts.get("val"), parts["test"], names, (describe(path, published_md5),), tabular
    )


def _read(path: Path) -> dict[str, Array]:
    """Every array that we know the key of; never a pickle, which could run code."""
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path} is no .npz, or was cut short; fetch it or save it (np.savez_compressed) anew"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files if key in REQUIRED + OPTIONAL}
    except Exception as error:  # numpy raises whatever the damaged byte happens to break
        raise InputError(f"cannot read {path} ({one_line(error)}); fetch or save it anew") from error


def _part(images: Array, labels: Array, what: str) -> Part:
    checked = check_images(images, f"{what}_images")
    return Part(checked, check_labels(labels, f"{what}_labels", len(checked)))
