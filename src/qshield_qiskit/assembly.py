"""From settings to objects: images, an untrained model, a trained one on a backend; and how that backend runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from qshield_qiskit import catalog
from qshield_qiskit.config import Settings
from qshield_qiskit.data import Dataset, Split, load_dataset
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.jobs.purposes import device_in_use
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.pretrained import read_config
from qshield_qiskit.seeding import derive

if TYPE_CHECKING:  # its client takes seconds to import
    from qshield_qiskit.devices.ibm import ServiceBackend


def load_images(settings: Settings) -> Dataset:
    """Load the images that settings name, split as they say."""
    data = settings.data
    return load_dataset(
        settings.dataset.name,
        root=data.root,
        file=settings.dataset.file,
        mirror=data.mirror,
        validation_fraction=data.validation_fraction,
        train_images=data.train_images,
        test_images=data.test_images,
        seed=derive(settings.seed, "split"),
    )


def evaluated_images(dataset: Dataset, settings: Settings) -> Split:
    """Take the test images that a model is evaluated on.

    Raises:
        InputError: There are fewer images than that.
    """
    wanted = settings.evaluation.images or len(dataset.test)
    if wanted > len(dataset.test):
        raise InputError(
            f"evaluation.images={wanted}, but {dataset.name} has {len(dataset.test)} test images"
        )
    return Split(dataset.test.images[:wanted], dataset.test.labels[:wanted])


def build_model(settings: Settings, dataset: Dataset) -> HybridClassifier:
    """Build the untrained model that settings describe; its first weights come from torch's generator."""
    circuit, backend, model = settings.circuit, settings.backend, settings.model
    num_qubits = circuit.qubits_for(dataset.num_classes)
    template = None
    if model.branch != "none":
        template = catalog.load_circuit(circuit.name, num_qubits, **circuit.build_options())
    device = None
    if model.branch == "circuit":
        device = catalog.load_backend(backend.name, num_qubits, **backend.build_options())
    return HybridClassifier(
        template,
        device,
        num_classes=dataset.num_classes,
        input_shape=dataset.shape,
        backbone=model.backbone,
        fusion=model.fusion,
        branch=model.branch,
        pretrained=model.pretrained,
        features=model.features,
        projection=model.projection,
        detach_circuit=model.detach_circuit,
        readout=model.readout,
        sampling=backend.sampling(),
        seed=derive(settings.seed, "trajectories"),
    )


def trained_model(settings: Settings, folder: Path, purpose: str) -> HybridClassifier:
    """Read a trained model back, on the backend that its settings name, whatever its folder says of one.

    Args:
        settings: What was trained under; its backend may be a Python file, which is run, or a device of IBM's.
        folder: The saved model.
        purpose: As for `on_backend`.

    Raises:
        InputError: A file is missing or damaged, or the backend cannot be had.
    """
    saved = read_config(folder).backend
    backend = None if saved is None else _backend(settings, saved.num_qubits, purpose)
    return HybridClassifier.from_pretrained(folder, backend=backend)


def on_backend(
    model: HybridClassifier, settings: Settings, purpose: str, terms: Terms | None = None
) -> HybridClassifier:
    """Give a trained model on the backend and the torch device that settings ask for, with nothing retrained.

    Args:
        model: The model; it stays as it is.
        settings: What they say of backend and accelerator counts.
        purpose: What jobs on a device of IBM's are for, so that what was paid for is found again.
        terms: On what terms such a device is used.
    """
    if model.branch == "circuit" and model.template is not None:
        device = _backend(settings, model.template.num_qubits, purpose, terms)
        model = model.with_backend(device, settings.backend.sampling())
    else:
        model = deepcopy(model)  # `to` would move the given one itself
    return model.to(torch_device(settings))


def _backend(settings: Settings, num_qubits: int, purpose: str, terms: Terms | None = None) -> Backend:
    """Load a backend; a device of IBM's, whoever built it, for this purpose and on the user's terms."""
    name = settings.backend.name
    if name == catalog.LEAST_BUSY:  # what began on one device goes on there
        name = device_in_use(purpose) or name
    backend = catalog.load_backend(name, num_qubits, **settings.backend.build_options())
    if not catalog.is_hardware(backend):
        return backend
    return cast("ServiceBackend", backend).on(replace(terms or Terms(), purpose=purpose))


def torch_device(settings: Settings) -> torch.device:
    """Choose where a model is evaluated: on a GPU, if there is one and it is not ruled out."""
    use_gpu = torch.cuda.is_available() and settings.training.accelerator != "cpu"
    return torch.device("cuda" if use_gpu else "cpu")


@contextmanager
def conversation(model: HybridClassifier) -> Iterator[None]:
    """Close what a model's circuit has opened on a device, a batch of jobs, at the end."""
    executor = model.executor
    with executor if isinstance(executor, AbstractContextManager) else nullcontext():
        yield


def calibration(model: HybridClassifier) -> dict[str, Any] | None:
    """Name the device and the date of a model's calibration; None without one."""
    of_device = None if model.backend is None else model.backend.calibration
    if of_device is None:
        return None
    return {"device": of_device.device, "taken_at": of_device.taken_at.isoformat()}


def primitives(model: HybridClassifier) -> dict[str, Any]:
    """Say how the circuit was run: shots, and a runtime primitive's options."""
    options = getattr(model.backend, "options", None)
    return {"shots": model.shots} | ({} if options is None else {"primitive": options.as_dict()})
