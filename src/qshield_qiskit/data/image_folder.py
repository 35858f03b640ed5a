"""A folder of images of one's own, one subfolder a class.

`train/<class>/*.png` and `test/<class>/*.png`, optionally `val/<class>/*.png`; or `<class>/*.png` alone, of
which a fifth becomes the test set, the same one whatever the run's seed. What is transparent lies on white.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from qshield_qiskit.data.arrays import Array, Arrays, Part, check_classes, one_line
from qshield_qiskit.data.dataset import SourceFile
from qshield_qiskit.data.splitting import hold_out
from qshield_qiskit.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
GREY, COLOUR = {"1", "L"}, {"P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr"}  # Pillow's 8-bit modes
TEST_FRACTION = 0.2
TEST_SEED = 0  # not the run's: runs of every seed are judged on the same images


def read_image_folder(folder: Path) -> Arrays:
    """Read a folder of 8-bit images that all have one size.

    Grey if every image is grey, else RGB; transparent ones as they look on white paper. Classes are the subfolders
    of the training part, in sorted order.

    Args:
        folder: The folder.

    Raises:
        InputError: A part or a class is missing or empty, or an image is damaged or of another size.
    """
    split = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    if split and not {"train", "test"} <= {*split}:
        found = "/ and ".join(split)
        raise InputError(f"{folder} has {found}/ but needs both train/<class>/ and test/<class>/")
    split = split or {"all": folder}
    classes = _subfolders(next(iter(split.values())))
    files = {name: _list_images(part, classes) for name, part in split.items()}
    pictures, source = _open_all(folder, [path for part in files.values() for path, _ in part])
    parts, start = {}, 0
    for name, part in files.items():
        labels = np.array([label for _, label in part], dtype=np.int64)
        parts[name] = Part(pictures[start : start + len(part)], labels)
        start += len(part)
    check_classes(list(parts.items()), str(folder), classes)
    if "all" in parts:
        held_out = hold_out(parts["all"].labels, TEST_FRACTION, TEST_SEED, f"{folder}: test split")
        parts = {"train": parts["all"][~held_out], "test": parts["all"][held_out]}
    return Arrays(parts["train"], parts.get("val"), parts["test"], tuple(classes), (source,))


def _subfolders(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise InputError(f"{folder} has no subfolders; expected one for each class: <class>/*.png")
    return names


def _list_images(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    for name in _subfolders(folder):
        if name not in classes:
            raise InputError(
                f"{folder} has class {name!r}, train/ has not; its classes: {', '.join(classes)}"
            )
    found = []
    for label, name in enumerate(classes):
        images = sorted(path for path in (folder / name).glob("[!.]*") if path.suffix.lower() in SUFFIXES)
        if not images:
            raise InputError(f"{folder / name} holds no images ({', '.join(sorted(SUFFIXES))})")
        found += [(path, label) for path in images]
    return found


def _open_all(folder: Path, paths: Iterable[Path]) -> tuple[Array, SourceFile]:
    """All pictures as one array (N, C, H, W), uint8, and a digest of names and contents."""
    digest = hashlib.md5(usedforsecurity=False)
    opened: list[Image.Image] = []
    for path in paths:
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        try:
            digest.update(path.read_bytes())
            with Image.open(path) as image:
                image.load()
                opened.append(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"cannot read {path} ({one_line(error)}); replace it or remove it") from error
        if image.mode not in GREY | COLOUR:
            raise InputError(f"{path} has mode {image.mode}; expected 8-bit grey or colour: convert it first")
        if image.size != opened[0].size:
            sizes = " and ".join("x".join(map(str, each.size)) for each in (image, opened[0]))
            raise InputError(f"{path}: images of {sizes} pixels in one set; resize them all to one size")
    mode = "L" if all(image.mode in GREY for image in opened) else "RGB"
    pictures = np.stack(
        [np.asarray(_on_white(image).convert(mode)).reshape(*image.size[::-1], -1) for image in opened]
    )
    return np.moveaxis(pictures, 3, 1), SourceFile(str(folder), digest.hexdigest())


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white: what its invisible pixels hold is anybody's guess, and mostly black."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
