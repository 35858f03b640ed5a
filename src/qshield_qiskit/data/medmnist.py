"""Every 2-D, single-label set of MedMNIST by its flag, from `<flag>.npz` under the root.

References:
    J. Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023).
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from qshield_qiskit.data.arrays import Arrays
from qshield_qiskit.data.download import RemoteFile, fetch
from qshield_qiskit.data.npz import read_npz
from qshield_qiskit.errors import InputError


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """`medmnist.INFO`: what its authors publish of each set.

    Read from its own module: the package around it imports torch, pandas and more, which takes seconds.
    """
    package = importlib.util.find_spec("medmnist")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("medmnist is not installed")
    spec = importlib.util.spec_from_file_location(
        "medmnist_info", Path(package.submodule_search_locations[0]) / "info.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.INFO)


def usable() -> dict[str, dict[str, Any]]:
    """The sets that can be classified here: 2-D images with one label each."""
    return {flag: info for flag, info in catalogue().items() if _unusable(flag, info) is None}


def read_medmnist(flag: str, root: Path, mirror: str | None = None) -> Arrays:
    """Read a MedMNIST set with its own validation split, downloading it when it is missing.

    Args:
        flag: Its name in `medmnist.INFO`, as in "organamnist".
        root: Folder of all datasets.
        mirror: Base address to download from instead of the publisher's.

    Raises:
        InputError: The set is multi-label or 3-D; its file cannot be had, is damaged or is another set's.
    """
    info = catalogue()[flag]
    if problem := _unusable(flag, info):
        raise InputError(problem)
    remote = RemoteFile(info["url"], info["MD5"])
    path = root / remote.filename
    if not path.exists():
        fetch(flag, [remote], root, mirror)
    arrays = read_npz(path, tuple(info["label"].values()), info["MD5"])
    parts = {"train": arrays.train, "val": arrays.validation, "test": arrays.test}
    sizes = {name: len(part or ()) for name, part in parts.items()}
    if sizes != info["n_samples"] or arrays.train.images.shape[1] != info["n_channels"]:
        found = f"{sizes} images of shape {arrays.train.images.shape[1:]}"
        raise InputError(f"{path} is not {flag}: it has {found}; if it is your own, use dataset.file={path}")
    return arrays


def _unusable(flag: str, info: dict[str, Any]) -> str | None:
    if "multi-label" in info["task"]:
        return f"{flag} is multi-label, but one class an image is needed; try pneumoniamnist"
    if flag.endswith("3d"):
        return f"{flag} holds volumes, not 2-D images; try organamnist or another 2-D set"
    return None
