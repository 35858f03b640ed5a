"""What every reader hands over: checked numpy arrays, channels first, not yet split, scaled or converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.data.dataset import SourceFile
from qshield_qiskit.errors import InputError

Array = NDArray[Any]
IMAGE_LAYOUTS = "(N, H, W), (N, H, W, C), (N, C, H, W) or tabular (N, F)"


@dataclass(frozen=True, eq=False)
class Part:
    """Images and labels as they were stored.

    Args:
        images: (N, C, H, W), uint8 or float32 in [0, 1]; tabular: (N, 1, 1, F), float64, unscaled.
        labels: (N,), int64 in [0, K).
    """

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Array) -> Part:
        return Part(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Arrays:
    """A dataset as its publisher cut it; `validation` is None where it ships none."""

    train: Part
    validation: Part | None
    test: Part
    classes: tuple[str, ...]
    source: tuple[SourceFile, ...] = ()
    tabular: bool = False


def one_line(error: object) -> str:
    """What an error of someone else's says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def check_images(array: Array, what: str) -> Array:
    """Bring images of any accepted layout and dtype to the form of `Part.images`.

    Args:
        array: (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3, uint8 from 0 to 255 or float in [0, 1];
            or tabular (N, F), any real numbers.
        what: The file and key that it came from, for the error.

    Returns:
        (N, C, H, W), uint8 or float32; for a table (N, 1, 1, F), float64.

    Raises:
        InputError: Wrong shape, dtype or range, or nothing in it.
    """
    if array.ndim not in (2, 3, 4):
        raise InputError(f"{what} has shape {array.shape}; expected {IMAGE_LAYOUTS}")
    if array.size == 0:
        raise InputError(f"{what} is empty, its shape is {array.shape}")
    if array.ndim == 2:
        return _check_table(array, what)
    array = _check_bytes(array, what) if array.dtype == np.uint8 else _check_floats(array, what)
    if array.ndim == 3:
        return array[:, None]
    first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
    if first == last:
        problem = "either side could be the channels" if first else "no side of 1 or 3 channels"
        raise InputError(f"{what} has shape {array.shape}, {problem}; expected (N, H, W, C) or (N, C, H, W)")
    return array if first else np.moveaxis(array, 3, 1)


def _check_bytes(array: Array, what: str) -> Array:
    if array.max() == 1:  # black and white, stored as 0 and 1, would be almost black
        raise InputError(
            f"{what} is uint8 and runs from {array.min()} to 1 of 255; expected 0 to 255; try .astype('float32')"
        )
    return array


def _check_floats(array: Array, what: str) -> Array:
    if array.dtype.kind != "f":
        dtype = "float32" if array.dtype == bool else "uint8"
        raise InputError(
            f"{what} is {array.dtype}; expected uint8 from 0 to 255, or float in [0, 1]; try .astype('{dtype}')"
        )
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise InputError(f"{what} has {np.isnan(array).sum():,} values that are not a number")
    if low < 0 or high > 1:
        raise InputError(f"{what} runs from {low:g} to {high:g}; floats lie in [0, 1]: rescale, or use uint8")
    return array.astype(np.float32)


def _check_table(array: Array, what: str) -> Array:
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} is {array.dtype}; tabular features are real numbers")
    with np.errstate(over="ignore"):
        broken = ~np.isfinite(array.astype(np.float32))  # in float32: so that no later difference overflows
    if broken.any():
        raise InputError(f"{what} has {broken.sum():,} values that are not finite in float32")
    return array.astype(np.float64)[:, None, None, :]  # (N, 1, 1, F)


def check_labels(array: Array, what: str, num_images: int) -> Array:
    """Bring labels of shape (N,) or (N, 1) to (N,), int64.

    Raises:
        InputError: Not whole numbers from 0 on, or not one for each image.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{what} has shape {array.shape}; expected one class for each image, (N,) or (N, 1)")
    if len(array) != num_images:
        raise InputError(f"{what} has {len(array):,} labels for {num_images:,} images")
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} is {array.dtype}; expected whole numbers; try .astype('int64')")
    if array.min() < 0:
        raise InputError(f"{what} holds {array.min()}; classes count from 0")
    return array.astype(np.int64)


def check_classes(
    parts: Sequence[tuple[str, Part]], where: str, names: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Find the class names, and check that every label has one and that all parts hold like images.

    Args:
        parts: The parts and what they are called; the first is the training part.
        where: The file or folder, for the error.
        names: The names where they are known; else the training part must hold every class from 0 on, and
            the names are the numbers.

    Raises:
        InputError: A label without a class, a class without training images, fewer than two classes, or
            images of different shapes.
    """
    train_name, train = parts[0]
    if names is None:
        present = np.unique(train.labels)  # sorted
        gaps = np.flatnonzero(present != np.arange(len(present)))
        if len(gaps):
            raise InputError(f"{where}: {train_name} lacks class {gaps[0]}; number the classes 0, 1, 2, ...")
        names = [str(label) for label in present]
    if len(names) < 2:
        raise InputError(f"{where} has one class, {names[0]!r}; a classifier needs two or more")
    for name, part in parts:
        highest = part.labels.max()
        if highest >= len(names):
            raise InputError(f"{where}: {name} holds class {highest}; the classes are 0 to {len(names) - 1}")
        if part.images.shape[1:] != train.images.shape[1:]:
            shapes = f"{name} holds images {part.images.shape[1:]}, {train_name} {train.images.shape[1:]}"
            raise InputError(f"{where}: {shapes}; all parts need one shape")
    return tuple(names)
