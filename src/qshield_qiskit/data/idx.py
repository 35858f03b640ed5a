"""`mnist` and `fashion_mnist`: the idx files that both are published in, plain or gzipped.

Layout under the root: `MNIST/raw/train-images-idx3-ubyte[.gz]` and so on, which is also torchvision's.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qshield_qiskit.data.arrays import Array, Arrays, Part, one_line
from qshield_qiskit.data.dataset import SourceFile
from qshield_qiskit.data.download import RemoteFile, describe, fetch
from qshield_qiskit.errors import InputError

UNSIGNED_BYTES = b"\x00\x00\x08"  # opens the file; the next byte is the number of axes
REMEDY = "delete it to have it downloaded anew"


@dataclass(frozen=True)
class IdxSet:
    """What identifies one dataset published as four idx files.

    Args:
        folder: Its folder under the root.
        address: Where its publisher keeps the gzipped files.
        md5: Their published checksums: training images and labels, test images and labels.
        classes: Class names, in the order of the labels.
        sizes: How many images it has for training and for testing.
    """

    folder: str
    address: str
    md5: tuple[str, str, str, str]
    classes: tuple[str, ...]
    sizes: tuple[int, int] = (60_000, 10_000)


IDX_SETS = {
    "mnist": IdxSet(
        "MNIST/raw",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        tuple("0123456789"),
    ),
    "fashion_mnist": IdxSet(
        "FashionMNIST/raw",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
}
FILENAMES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)


def read_idx_set(name: str, root: Path, mirror: str | None = None) -> Arrays:
    """Read `mnist` or `fashion_mnist`, downloading the files that are missing.

    Args:
        name: A key of `IDX_SETS`.
        root: Folder of all datasets.
        mirror: Base address to download from instead of the publisher's.

    Raises:
        InputError: A file is missing and cannot be had, is damaged, or is not the published set.
    """
    published = IDX_SETS[name]
    folder = root / published.folder
    remote = [
        RemoteFile(f"{published.address}/{filename}.gz", md5)
        for filename, md5 in zip(FILENAMES, published.md5, strict=True)
    ]
    missing = [file for file in remote if not _in_place(folder, file).exists()]
    if missing:
        fetch(name, missing, folder, mirror)
    paths = [_in_place(folder, file) for file in remote]
    train_images, train_labels, test_images, test_labels = map(read_idx, paths)
    parts = []
    for images, labels, size, path in zip(
        (train_images, test_images), (train_labels, test_labels), published.sizes, paths[::2], strict=True
    ):
        if images.ndim != 3 or not labels.shape == (len(images),) == (size,):
            found = f"images {images.shape} and labels {labels.shape}"
            raise InputError(f"{path}: {found} are not {name}, which has {size:,}; save your own as .npz")
        if (highest := labels.max()) >= len(published.classes):
            raise InputError(f"{path}: a label is {highest}; {name} has {len(published.classes)} classes")
        parts.append(Part(images[:, None], labels.astype(np.int64)))  # (N, 1, H, W)
    source = tuple(_describe(path, file) for path, file in zip(paths, remote, strict=True))
    return Arrays(parts[0], None, parts[1], published.classes, source)


def read_idx(path: Path) -> Array:
    """Read one idx file of unsigned bytes, gzipped if its name ends in .gz.

    Returns:
        An array of the shape that the file's header gives, uint8.

    Raises:
        InputError: The file is damaged or of another kind.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path} ({one_line(error)}); {REMEDY}") from error
    if len(content) < 4 or content[:3] != UNSIGNED_BYTES:
        raise InputError(f"{path} is no idx file of unsigned bytes; {REMEDY}")
    start = 4 + 4 * content[3]
    shape = [int(size) for size in np.frombuffer(content[4:start][: 4 * ((len(content) - 4) // 4)], ">u4")]
    if len(content) != start + math.prod(shape):
        expected = f"{start + math.prod(shape):,} bytes for its shape {tuple(shape)}"
        raise InputError(f"{path} is damaged: {len(content):,} of {expected}; {REMEDY}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _in_place(folder: Path, file: RemoteFile) -> Path:
    """The unpacked file where there is one, else the packed one."""
    packed = folder / file.filename
    plain = packed.with_suffix("")
    return plain if plain.exists() else packed


def _describe(path: Path, file: RemoteFile) -> SourceFile:
    return describe(path, file.md5 if path.suffix == ".gz" else None)  # the checksums are of the packed files
