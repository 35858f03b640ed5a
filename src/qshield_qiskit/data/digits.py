"""`digits`: the 1,797 handwritten digits that scikit-learn carries in itself; no network, loads at once."""

from __future__ import annotations

import numpy as np

from qshield_qiskit.data.arrays import Arrays, Part

NUM_TEST = 360  # the last fifth, in scikit-learn's order


def read_digits() -> Arrays:
    """Read scikit-learn's digits, 8x8 and not resized, counts of 0 to 16 divided by 16.

    References:
        E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository
        (1998).
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 (a second to import, which only this set needs)

    bunch = load_digits()
    images = (bunch.images[:, None] / 16).astype(np.float32)  # (1797, 1, 8, 8)
    labels = bunch.target.astype(np.int64)
    train, test = slice(None, -NUM_TEST), slice(-NUM_TEST, None)
    classes = tuple(str(name) for name in bunch.target_names)
    return Arrays(Part(images[train], labels[train]), None, Part(images[test], labels[test]), classes)
