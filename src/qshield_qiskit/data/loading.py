"""From a name, a file or a folder to a dataset that training can use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qshield_qiskit.data import cifar10, digits, idx, image_folder, medmnist, npz
from qshield_qiskit.data.arrays import Array, Arrays, Part
from qshield_qiskit.data.dataset import Dataset, Split
from qshield_qiskit.data.splitting import first_of_each_class, hold_out
from qshield_qiskit.errors import InputError, unknown


def default_root() -> Path:
    """Where datasets are looked for: the environment's `QSHIELD_DATA`, else `~/.cache/qshield`."""
    return Path(os.environ.get("QSHIELD_DATA") or "~/.cache/qshield").expanduser()


def known() -> dict[str, str]:
    """Every dataset that has a name, with one line about it."""
    lines = {
        "digits": "1,797 handwritten digits, 8x8 grey, 10 classes; embedded in scikit-learn, no download",
        "mnist": "70,000 handwritten digits, 28x28 grey, 10 classes",
        "fashion_mnist": "70,000 articles of clothing, 28x28 grey, 10 classes",
        "cifar10": "60,000 photographs of animals and vehicles, 32x32 colour, 10 classes",
    }
    for flag, info in medmnist.usable().items():
        images, colour = sum(info["n_samples"].values()), "grey" if info["n_channels"] == 1 else "colour"
        lines[flag] = f"{images:,} medical images, 28x28 {colour}, {len(info['label'])} classes; MedMNIST"
    return lines


def load_dataset(
    name: str,
    *,
    root: str | Path | None = None,
    file: str | Path | None = None,
    mirror: str | None = None,
    validation_fraction: float = 0.1,
    train_images: int | None = None,
    test_images: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a dataset as float32 images in [0, 1], channels first.

    Args:
        name: A name of `known()`, or the path of an .npz or an image folder.
        root: Folder that holds datasets and receives downloads; by default `default_root()`.
        file: The path of an .npz or an image folder, which then takes the place of `name`.
        mirror: Base address to download from instead of the publisher's; the file's name is appended.
        validation_fraction: Share of the training images, in [0, 1), that is held out for validation, seeded
            and stratified. A set that ships a validation split of its own uses that one whole. With 0 there
            is no validation, and a split of its own is left unused.
        train_images: How many training images to use, before validation is held out of them; all by default.
            They are the first of each class, with the set's class shares.
        test_images: How many test images to use, chosen likewise, so the same ones for every seed.
        seed: Chooses which images are held out for validation.

    Returns:
        The dataset. Tabular features are scaled so that the training split spans [0, 1]; the other splits are
        clipped to it.

    Raises:
        InputError: No such dataset, or its files are missing, damaged or not a dataset.

    >>> load_dataset("digits")
    Dataset(digits: 1,293 train, 144 validation, 360 test; images (1, 8, 8); 10 classes)
    """
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction is {validation_fraction:g}; expected at least 0, less than 1")
    folder = default_root() if root is None else Path(root).expanduser()
    name, read = _reader(name if file is None else str(file), folder, mirror, is_path=file is not None)
    arrays = read()
    train = _limit(arrays.train, train_images, f"{name}: train_images")
    test = _limit(arrays.test, test_images, f"{name}: test_images")
    validation = arrays.validation
    if validation_fraction == 0:
        validation = train[np.arange(0)]
    elif validation is None:
        held_out = hold_out(train.labels, validation_fraction, seed, f"{name}: validation split")
        train, validation = train[~held_out], train[held_out]
    scale = _table_scaling(train.images) if arrays.tabular else _pixel_scaling
    splits = [_split(part, scale) for part in (train, validation, test)]
    return Dataset(name, splits[0], splits[1], splits[2], arrays.classes, arrays.source)


def _reader(name: str, root: Path, mirror: str | None, *, is_path: bool) -> tuple[str, Callable[[], Arrays]]:
    """The dataset's name and what reads it."""
    if not is_path:
        if name == "digits":
            return name, digits.read_digits
        if name in idx.IDX_SETS:
            return name, lambda: idx.read_idx_set(name, root, mirror)
        if name == "cifar10":
            return name, lambda: cifar10.read_cifar10(root, mirror)
        if name in medmnist.catalogue():
            return name, lambda: medmnist.read_medmnist(name, root, mirror)
    path = Path(name or "?").expanduser()  # an empty name is not the working directory
    path = next((place for place in (path, root / path) if place.exists()), path)
    if path.is_dir():
        return path.resolve().name, lambda: image_folder.read_image_folder(path)
    if path.exists():
        return path.stem, lambda: npz.read_npz(path)
    if is_path or path.suffix or len(path.parts) > 1:
        raise InputError(f"no such file or folder: {name} (looked in {Path.cwd()} and {root})")
    raise InputError(f"{unknown('dataset', name, known())}; or give the path of an .npz or an image folder")


def _limit(part: Part, wanted: int | None, what: str) -> Part:
    if wanted is None:
        return part
    if not 1 <= wanted <= len(part):
        raise InputError(f"{what} is {wanted:,}; there are {len(part):,}")
    return part[first_of_each_class(part.labels, wanted)]


def _split(part: Part, scale: Callable[[Array], Array]) -> Split:
    import torch  # noqa: PLC0415 (takes seconds to import, and `known` needs none of it)

    images = torch.from_numpy(scale(part.images))  # (N, C, H, W), float32, [0, 1]
    return Split(images, torch.from_numpy(part.labels))


def _pixel_scaling(images: Array) -> Array:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(np.divide(images, np.float32(255), dtype=np.float32))
    return np.ascontiguousarray(images)


def _table_scaling(train: Array) -> Callable[[Array], Array]:
    """Map each feature's range in the training split to [0, 1]; a constant feature becomes 0."""
    low, high = train.min(axis=0), train.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    return lambda images: ((images - low) / span).clip(0, 1).astype(np.float32)
