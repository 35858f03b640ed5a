"""Models on disk: tensors as safetensors, settings as JSON, the circuit as QPY; reading them runs no code of theirs."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor

from qshield_qiskit import catalog
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.saved import SavedBackend, SavedModel
from qshield_qiskit.quantum.template import CircuitTemplate

TENSORS = "model.safetensors"
CONFIG = "config.json"
CIRCUIT = "circuit.qpy"


def save(model: HybridClassifier, folder: Path) -> None:
    """Write model.safetensors, config.json and, if the model has a circuit, circuit.qpy."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    config = SavedModel.of(
        {
            "backbone": model.backbone_name,
            "fusion": model.fusion_name,
            "branch": model.branch,
            "features": model.features_name,
            "projection": model.projection_name,
            "detach_circuit": model.detach_circuit,
            "readout": model.readout_name,
            "sampling": model.sampling,
            "seed": model.seed,
            "num_classes": model.num_classes,
            "input_shape": model.input_shape,
        },
        model.backend,
    )
    if model.template is not None:
        write_atomically(folder / CIRCUIT, model.template.to_bytes())
    write_atomically(folder / CONFIG, config.to_json())
    write_atomically(folder / TENSORS, to_safetensors(tensors))


def load(folder: Path, *, backend: Backend | None = None) -> HybridClassifier:
    """Read what `save` wrote; see `HybridClassifier.from_pretrained`."""
    config = read_config(folder)
    template = _read_template(folder / CIRCUIT) if config.branch != "none" else None
    if backend is None and config.branch == "circuit":
        backend = _saved_backend(config.backend, folder)
    try:
        # Its first weights are thrown away; nobody's random numbers should move for that.
        with torch.random.fork_rng():
            model = HybridClassifier(template, backend, **config.arguments())
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    load_weights(model, folder / TENSORS)
    return model.eval()


def read_config(folder: Path) -> SavedModel:
    """Read what a saved model's config.json says, and nothing else.

    Raises:
        InputError: The file is missing or damaged.
    """
    return SavedModel.from_json(folder / CONFIG, _read(folder / CONFIG))


def loading_call(folder: Path, saved: SavedModel) -> str:
    """Give the call that loads a model from a folder, with its backend where one must be passed."""
    arguments = json.dumps(folder.as_posix(), ensure_ascii=False)
    if saved.branch == "circuit" and (saved.backend is None or _danger(saved.backend) is not None):
        arguments += ", backend=" + ("..." if saved.backend is None else f"qs.{_backend_call(saved.backend)}")
    return f"qs.HybridClassifier.from_pretrained({arguments})"


def _saved_backend(saved: SavedBackend | None, folder: Path) -> Backend:
    """Make the backend that a folder names, unless that is more than a folder from elsewhere should bring about."""
    if saved is None:
        raise InputError(f"{folder}: its backend cannot be made again from its files; pass backend=")
    if (danger := _danger(saved)) is not None:
        call = _backend_call(saved)
        raise InputError(f"{folder / CONFIG}: its backend {saved.name!r} {danger}, pass backend={call}")
    return catalog.load_backend(saved.name, saved.num_qubits, **saved.options)


def _danger(saved: SavedBackend) -> str | None:
    """Say what keeps a backend from being made just because a folder names it, if anything does."""
    if catalog.is_file("backends", saved.name):
        return "is Python that loading would run; if you trust it"
    if catalog.asks_service(saved.name):
        return "is asked for in your account's name; if you want that"
    return None


def _backend_call(saved: SavedBackend) -> str:
    options = "".join(f", {key}={value!r}" for key, value in saved.options.items())
    return f"load_backend({saved.name!r}, {saved.num_qubits}{options})"


def load_weights(model: HybridClassifier, file: Path) -> None:
    """Read tensors into a model, which takes on their precision.

    Args:
        model: The model; its weights and buffers are replaced.
        file: A safetensors file.

    Raises:
        InputError: The file is missing or damaged, or its first tensor that does not fit the model, with both
            shapes.
    """
    if not file.is_file():
        raise InputError(
            f"{file}: no such file; a saved model has {TENSORS}, {CONFIG} and, with a circuit, {CIRCUIT}"
        )
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise InputError(
            f"{file}: not a readable safetensors file ({error}); save the model again"
        ) from error
    check_tensors(model, tensors, file)
    model.to(tensors["head.weight"].dtype)
    model.load_state_dict(tensors)


def check_tensors(model: HybridClassifier, tensors: dict[str, Tensor], file: Path) -> None:
    """Raise InputError for the first tensor that a model and a file do not agree on."""
    hint = "use the settings that it was trained with"
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name not in tensors:
            raise InputError(f"{file}: lacks tensor {name}, expected with shape {_shape(tensor)}; {hint}")
        if tensors[name].shape != tensor.shape:
            found, wanted = _shape(tensors[name]), _shape(tensor)
            raise InputError(
                f"{file}: tensor {name} has shape {found}, but the model expects {wanted}; {hint}"
            )
        if tensors[name].is_floating_point() != tensor.is_floating_point():
            kind = "floating-point" if tensor.is_floating_point() else "whole"
            raise InputError(
                f"{file}: tensor {name} is of {tensors[name].dtype}, but the model expects {kind} numbers; "
                "save the model again"
            )
    for name, tensor in tensors.items():
        if name not in expected:
            raise InputError(
                f"{file}: has tensor {name} of shape {_shape(tensor)}, unknown to the model; {hint}"
            )


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; expected a folder written by save_pretrained") from error


def _read_template(file: Path) -> CircuitTemplate:
    data = _read(file)
    try:
        return CircuitTemplate.from_bytes(data)
    except InputError as error:  # QPY's own account fills a page
        raise InputError(f"{file}: no circuit template; save the model again") from error
