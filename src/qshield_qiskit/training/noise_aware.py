"""Noise-aware training: each batch meets another device, so that the model survives one that drifts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.drift import drifted
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.quantum.layer import QuantumLayer
from qshield_qiskit.quantum.network import ExactQNN, NoisyDevice
from qshield_qiskit.seeding import derive


class Devices:
    """The devices that a training draws from, compiled once each; they share the layer's weights.

    Args:
        networks: The model's circuit on each device; none leaves the layer as it is.
        seed: Seed of the draws.
    """

    def __init__(self, networks: Sequence[ExactQNN], seed: int) -> None:
        self.networks, self.seed = tuple(networks), seed

    @contextmanager
    def drawn(self, model: HybridClassifier, epoch: int, batch_index: int) -> Iterator[None]:
        """Put the model on the device that an epoch's batch meets, the same one in every process, for a while."""
        if not self.networks:
            yield
            return
        assert isinstance(model.layer, QuantumLayer)
        chosen = derive(self.seed, "device", epoch, batch_index) % len(self.networks)
        with model.layer.running(self.networks[chosen]):
            yield


def build_devices(
    model: HybridClassifier, noise: float | Sequence[str] | None, variants: int, seed: int
) -> Devices:
    """Compile a model's circuit for every device that training draws from.

    Args:
        model: The model; a twin and a control have no device, and none is drawn for them.
        noise: A spread by which the figures of the model's backend are jittered, or names of calibrations; None:
            neither.
        variants: How many jittered devices there are.
        seed: Seed of the jitter and of the draws.

    Raises:
        InputError: The circuit is sampled; a spread, but the backend has no calibration; or a calibration that is
            unknown or too small.
    """
    if noise is None or model.template is None or model.backend is None:
        return Devices((), seed)
    if not isinstance(model.layer.neural_network, ExactQNN):
        raise InputError(
            f"training.noise_aware={noise}: devices are drawn for exact simulation, but this circuit is sampled; "
            "leave shots out, or try backend=aer_noisy"
        )
    devices: list[NoisyDevice]
    if isinstance(noise, float | int):
        try:
            devices = [
                drifted(model.backend, noise, derive(seed, "drift", index)) for index in range(variants)
            ]
        except InputError as error:
            raise InputError(f"training.noise_aware={noise}: {error}") from error
    else:
        num_qubits = model.template.num_qubits
        devices = [Backend.calibrated(name, calibrations.load_for(name, num_qubits)) for name in noise]
    return Devices([ExactQNN(model.template, device, seed=model.seed) for device in devices], seed)
