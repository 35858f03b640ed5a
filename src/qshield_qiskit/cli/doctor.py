"""Check what this machine offers: versions, threads, GPU, folders, IBM account, engines."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch
from rich.table import Table

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.cli.console import Json, emit, stdout
from qshield_qiskit.data import default_root
from qshield_qiskit.devices.service.account import account_source
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.reporting.environment import PACKAGES

SIMULATED = (("aer_noisy", 4), ("aer_noisy", 8), ("paper_noise", 10), ("aer_ideal", 10))
"""Backends and numbers of qubits for which the simulator's choice of engine is shown."""

ROOM_FOR_DATA = 2e9
"""Bytes that the larger data sets need on disk."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what to do about it if it is a warning."""

    name: str
    status: Literal["ok", "warning"]
    says: str
    remedy: str | None = None


def command(json: Json = False) -> None:
    """Look at everything that a run depends on, and say what to do about what is missing.

    Nothing is contacted and nothing is changed.
    """
    checks = list(all_checks())
    if json:
        emit({"checks": [asdict(check) for check in checks], "ok": all(c.status == "ok" for c in checks)})
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        status = "[green]ok[/]" if check.status == "ok" else "[yellow]warning[/]"
        table.add_row(check.name, status, f"{check.says}: {check.remedy}" if check.remedy else check.says)
    stdout.print(table)


def all_checks() -> Iterator[Check]:
    """Look at everything, in the order in which it is shown."""
    yield Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        yield _package(package)
    yield _threads()
    yield _gpu()
    yield _data_folder(default_root())
    yield _runs_folder(Path("runs"))
    yield _account()
    for backend, num_qubits in SIMULATED:
        yield _engine(backend, num_qubits)


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "warning", "not installed", f"pip install {name}")


def _threads() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    says = f"{threads} of torch on {cores} cores"
    if threads > cores:
        return Check("threads", "warning", says, f"set OMP_NUM_THREADS={cores}, or training.threads={cores}")
    return Check("threads", "ok", says)


def _gpu() -> Check:
    if not torch.cuda.is_available():
        return Check("gpu", "ok", "none that torch can use; everything runs on the CPU")
    properties = torch.cuda.get_device_properties(0)
    count = torch.cuda.device_count()
    return Check("gpu", "ok", f"{count} x {properties.name}, {properties.total_memory / 2**30:.0f} GiB each")


def _data_folder(folder: Path) -> Check:
    says = f"{folder} ({'QSHIELD_DATA' if os.environ.get('QSHIELD_DATA') else 'the default'})"
    existing = _nearest_existing(folder)
    if not existing.is_dir() or not os.access(existing, os.R_OK | os.X_OK):
        return Check("data", "warning", f"{says} is no readable folder", "set QSHIELD_DATA to one that is")
    if not os.access(existing, os.W_OK):
        remedy = "only what is there can be used; set QSHIELD_DATA to a folder of your own for downloads"
        return Check("data", "warning", f"{says} cannot be written to", remedy)
    free = shutil.disk_usage(existing).free
    if free < ROOM_FOR_DATA:
        return Check("data", "warning", f"{says} has {free / 1e9:.1f} GB free", "make room for downloads")
    return Check("data", "ok", f"{says}, {free / 1e9:.0f} GB free")


def _runs_folder(folder: Path) -> Check:
    existing = _nearest_existing(folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        remedy = "work in a folder of your own, or set runs=FOLDER"
        return Check("runs", "warning", f"{folder.absolute()} cannot be written to", remedy)
    return Check("runs", "ok", str(folder.absolute()))


def _account() -> Check:
    try:
        source = account_source()
    except (ValueError, KeyError, OSError) as error:
        return Check("ibm account", "warning", f"saved, but broken ({error})", "save it again")
    if source is None:
        return Check("ibm account", "ok", "none; needed for hardware only (set QISKIT_IBM_TOKEN)")
    return Check("ibm account", "ok", f"from {source}; not contacted")


def _engine(backend: str, num_qubits: int) -> Check:
    """Say how the default template would be simulated on a backend."""
    device, template = load_backend(backend, num_qubits), load_circuit("full", num_qubits, reps=2)
    plan = ExactQNN(template, device).simulator.plan
    says = f"{plan.engine}, about {plan.multiply_adds / 1e6:.1f} M multiply-adds for 128 images"
    return Check(f"{num_qubits} qubits, {backend}", "ok", says)


def _nearest_existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
