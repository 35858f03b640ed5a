"""A run made ready to be attacked or judged: its model on a backend, and its first test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from qshield_qiskit import assembly, catalog, config
from qshield_qiskit.config import Settings
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.reporting.recording import image_set
from qshield_qiskit.runs import Run

KEYS = ("backend", "attack", "verdict", "certificate", "evaluation", "data.root", "data.mirror")
"""What `attack`, `verdict` and `certify` may change; all else belongs to the training."""


@dataclass(frozen=True)
class Subject:
    """A trained model on the backend of one's choice, and the images that it is attacked on.

    Attributes:
        settings: The run's settings with the overrides laid over them.
        model: The model, on the device that the settings ask for.
        images: (N, C, H, W), the first N test images.
        labels: (N,).
    """

    settings: Settings
    model: HybridClassifier
    images: torch.Tensor
    labels: torch.Tensor

    @property
    def image_set(self) -> str:
        """The name of its images, so that two attacks can be seen to be about the same ones."""
        return image_set(range(len(self.labels)), self.settings.data.test_images)

    def stand_in(self) -> HybridClassifier | None:
        """Put the model on the backend that is differentiated in place of its own; None where its own is.

        Raises:
            InputError: The model has no circuit, or the stand-in is a device.
        """
        name, model = self.settings.attack.bpda, self.model
        if name is None:
            return None
        if model.template is None or model.branch != "circuit":
            raise InputError(f"attack.bpda={name}: this model has no circuit; leave it out")
        if catalog.names_hardware(name, model.template.num_qubits):
            raise InputError(f"attack.bpda={name}: a device has no gradient of its own; try aer_noisy")
        return model.with_backend(catalog.load_backend(name, model.template.num_qubits))


def subject(
    run: Run,
    dotted: Sequence[str],
    num_images: Callable[[Settings], int | None],
    at_most: int,
    terms: Terms | None = None,
) -> Subject:
    """Get a run ready to be attacked.

    Args:
        run: The run.
        dotted: Overrides of KEYS.
        num_images: Reads from the settings how many images are wanted; None is all, up to `at_most`.
        at_most: How many images are taken unless more are asked for.
        terms: On what terms a device is used.

    Raises:
        InputError: An override changes what belongs to the training, or there are fewer images than that.
    """
    settings = config.override(run.config, dotted, KEYS)
    dataset = assembly.load_images(settings)
    wanted = num_images(settings) or min(at_most, len(dataset.test))
    if wanted > len(dataset.test):
        raise InputError(
            f"{wanted} images were asked for, but {dataset.name} has {len(dataset.test)} test images"
        )
    model = assembly.on_backend(run.model, settings, run.purpose, terms)
    return Subject(settings, model, dataset.test.images[:wanted], dataset.test.labels[:wanted])


def backend_options(settings: Settings) -> str:
    """Tell two uses of one backend apart, such as "channel=mixed p=0.02"; empty for its own defaults."""
    options = settings.backend.build_options() | settings.backend.sampling()
    return " ".join(f"{key}={value}" for key, value in sorted(options.items()))
