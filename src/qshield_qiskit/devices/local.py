"""IBM Runtime's primitives in local testing mode: the client's code without the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from qiskit_aer import AerSimulator

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.laying_out import laid_out
from qshield_qiskit.devices.primitives import DEFAULT_SHOTS, PrimitiveOptions, figures, submit
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.pub import Executor, Pub


@dataclass(frozen=True, eq=False)
class RuntimeBackend(Backend):
    """A device behind IBM Runtime's primitives, which knows no exact outcomes.

    Attributes:
        options: Of the primitives.
    """

    options: PrimitiveOptions = field(default_factory=PrimitiveOptions)

    default_shots: ClassVar[int | None] = DEFAULT_SHOTS

    def executor(self) -> Executor:
        """Run PUBs in local testing mode, under this backend's noise."""
        return LocalPrimitives(self)


class LocalPrimitives:
    """Run PUBs on runtime primitives whose device is Aer under the backend's own noise.

    Local mode by itself would make readout errors symmetric; the noise model given here keeps them as measured.

    Args:
        backend: A backend with a calibration.

    Raises:
        InputError: The backend has no calibration, and so no gates and couplings to hold circuits to.
    """

    def __init__(self, backend: RuntimeBackend) -> None:
        if backend.target is None:
            raise InputError(f"{backend.name} has no calibration; local testing mode needs a device's")
        self.backend = backend

    @cached_property
    def _device(self) -> AerSimulator:
        return AerSimulator(target=self.backend.target, noise_model=self.backend.noise_model)

    def run(self, pub: Pub, seed: int) -> NDArray[np.float64]:
        """Run a PUB: relative frequencies (P, 2**n), or expectation values (P, m)."""
        isa, target = laid_out(pub, self.backend), self.backend.target
        assert target is not None
        job = submit(isa, self._device, target, self.backend.options, seed=seed)
        return figures(job.result(), isa)
