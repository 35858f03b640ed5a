"""`cifar10`: the published batches, unpacked (torchvision's layout) or still in their archive.

Layout under the root: `cifar-10-batches-py/data_batch_1` and so on, or `cifar-10-python.tar.gz`.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from qshield_qiskit.data.arrays import Arrays, Part, one_line
from qshield_qiskit.data.download import RemoteFile, describe, fetch
from qshield_qiskit.errors import InputError

ARCHIVE = RemoteFile(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
)
FOLDER = "cifar-10-batches-py"
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
BATCH_SIZE = 10_000
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar10(root: Path, mirror: str | None = None) -> Arrays:
    """Read CIFAR-10, downloading the archive when neither it nor the unpacked batches are there.

    The archive is read as it is and never unpacked on the disk.

    Args:
        root: Folder of all datasets.
        mirror: Base address to download from instead of the publisher's.

    Raises:
        InputError: The archive cannot be had, or a batch is damaged.

    References:
        A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009.
    """
    paths = [root / FOLDER / batch for batch in BATCHES]
    archive = root / ARCHIVE.filename
    if all(path.exists() for path in paths):
        contents = {str(path): path.read_bytes() for path in paths}
        source = tuple(describe(path) for path in paths)
    else:
        if not archive.exists():
            fetch("cifar10", [ARCHIVE], root, mirror)
        contents = _read_archive(archive)
        source = (describe(archive, ARCHIVE.md5),)
    parts = [_read_batch(content, where) for where, content in contents.items()]
    images = np.concatenate([part.images for part in parts[:-1]])
    labels = np.concatenate([part.labels for part in parts[:-1]])
    return Arrays(Part(images, labels), None, parts[-1], CLASSES, source)


def _read_archive(archive: Path) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:  # in the order of the archive: seeking back would unpack it again
                name = Path(member.name).name
                if name in BATCHES and (file := tar.extractfile(member)):
                    contents[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"cannot read {archive} ({one_line(error)}); delete it to have it downloaded anew"
        ) from error
    missing = [name for name in BATCHES if name not in contents]
    if missing:
        raise InputError(f"{archive} lacks {', '.join(missing)}; delete it to have it downloaded anew")
    return {f"{archive}: {name}": contents[name] for name in BATCHES}


def _read_batch(content: bytes, where: str) -> Part:
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
        images, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
    except Exception as error:  # a damaged pickle may fail in any way at all
        raise InputError(f"cannot read {where} ({one_line(error)}); delete it and fetch it anew") from error
    if images.dtype != np.uint8 or images.shape != (BATCH_SIZE, 3072) or labels.shape != (BATCH_SIZE,):
        found = f"{images.dtype} {images.shape} and labels {labels.shape}"
        raise InputError(f"{where} holds {found}; a batch of CIFAR-10 has 10,000 rows of 3,072 uint8")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise InputError(f"{where} holds labels outside 0 to {len(CLASSES) - 1}; delete it and fetch it anew")
    return Part(images.reshape(-1, 3, 32, 32), labels.astype(np.int64))


class _ArraysOnly(pickle.Unpickler):
    """Unpickles plain values and numpy arrays; a pickle that names anything else could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve only what a numpy array needs."""
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[
                0
            ]  # whatever this numpy calls the function and wherever it keeps it
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not data")
