"""The exact simulator: a transpiled circuit under its device's noise, as a differentiable torch function.

    y(x, w) = R  S_m(x, w) ... S_1(x, w)  kron_q v_q(x, w)

with v_q the local vectors of the single qubits, S_i the segments of blocks (see `blocks`) and R the readout. While the
encoding comes first, as in the templates without re-uploading, R S_1 is one matrix T that is the same for all images,
so that one attack step costs a small matrix product. It is evolved backwards from the readout (the Heisenberg picture)
and kept for as long as the weights stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import NoiseModel
from torch import Tensor
from torch.autograd import forward_ad

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.blocks import Block, Segment, group
from qshield_qiskit.quantum.checks import check_inputs
from qshield_qiskit.quantum.evolution import Frame, Kind, ProductState, SegmentEvolution
from qshield_qiskit.quantum.lowering import lower
from qshield_qiskit.quantum.planning import Engine, Plan, plan
from qshield_qiskit.quantum.readout import AmplitudeReadout, readout_rows
from qshield_qiskit.quantum.representations import Amplitudes, PauliTransfer, Representation

STATE_DTYPES = {
    "pauli_transfer": {torch.float32: torch.float32, torch.float64: torch.float64},
    "amplitudes": {torch.float32: torch.complex64, torch.float64: torch.complex128},
}


class ExactSimulator:
    """Outcome probabilities or expectation values of a circuit under noise, exact and differentiable.

    Args:
        circuit: What runs, its angles in terms of `inputs` and `weights`; mostly `backend.transpile(template.circuit)`.
        inputs: The parameters that differ from image to image, in the order of the inputs' columns.
        weights: The trainable parameters, in order.
        observables: Hermitian operators on the user's qubits; None gives the outcome probabilities in Qiskit's
            order (qubit 0 least significant).
        noise_model: The Aer noise model to run under, readout error included; None for none.
        num_qubits: How many of the circuit's qubits were the user's own before transpiling; all by default.
        engine: "pauli_transfer" (exact with noise), "statevector" (exact without), "trajectories" (samples the noise)
            or "auto", which takes the cheapest exact one and trajectories beyond 8 noisy qubits.
        trajectories: Number of trajectories where noise is sampled; the error falls with its square root.
        seed: Seed of the trajectories.

    Attributes:
        lowered: The circuit as a list of gates, rotations and channels.
        prefixes: What happens to each qubit while it stands alone, up to its last input-dependent gate there.
        plan: How it will be run.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
        observables: Sequence[SparsePauliOp] | None = None,
        noise_model: NoiseModel | None = None,
        *,
        num_qubits: int | None = None,
        engine: Engine = "auto",
        trajectories: int = 128,
        seed: int = 0,
    ) -> None:
        self.inputs, self.weights = tuple(inputs), tuple(weights)
        self.observables = None if observables is None else tuple(observables)
        self.lowered = lower(circuit, noise_model, num_qubits)
        self.num_outputs = (
            2 ** len(self.lowered.positions) if self.observables is None else len(self.observables)
        )
        self._grouped = group(self.lowered, self.inputs)
        self.prefixes: tuple[Block, ...] = self._grouped.prefixes
        self.plan: Plan = plan(self._grouped, self.num_outputs, self.lowered.noisy, trajectories, engine)
        self._samples, self._seed = trajectories if self.plan.engine == "trajectories" else 1, seed
        self._compiled: dict[Kind, _Compiled] = {}

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Run the circuit.

        Args:
            inputs: (..., I) angles in radians, on any device, float32 or float64 (lower precisions are widened).
            weights: (W,) angles in radians.

        Returns:
            (..., O) probabilities or expectation values, in the dtype and on the device of `inputs`.

        Raises:
            InputError: The last axis of `inputs`, or `weights`, has another length than the circuit has parameters, or
                `inputs` are no floating-point numbers.
        """
        check_inputs(inputs, len(self.inputs))
        if weights.shape != (len(self.weights),):
            raise InputError(
                f"weights have shape {tuple(weights.shape)}; expected ({len(self.weights)},) angles"
            )
        real = torch.float64 if inputs.dtype == torch.float64 else torch.float32
        batch = math.prod(inputs.shape[:-1])
        columns = inputs.reshape(batch, len(self.inputs)).to(real).T  # (I, B)
        compiled = self._compile(real, inputs.device)
        kind = inputs.device.type
        lowered = torch.is_autocast_enabled(
            kind
        )  # a precision that would not be exact; asking first is cheaper
        with torch.autocast(kind, enabled=False) if lowered else nullcontext():
            outputs = compiled(columns, weights.to(inputs.device, real).unsqueeze(1))  # (B, O)
        return outputs.reshape(*inputs.shape[:-1], self.num_outputs).to(inputs.dtype)

    @property
    def encodes_product_states(self) -> bool:
        """Whether every input enters a qubit of its own, before any two-qubit gate: the state there is a product."""
        return not any(segment.dependent for segment in self._grouped.segments)

    def evolved_readout(self, weights: Tensor) -> Tensor:
        """Evolve the readout backwards to the last input-dependent gates, through all gates and noise behind them.

        Args:
            weights: (W,) angles in radians.

        Returns:
            T, (O, 4^n) in float64: outcome o is the sum over P of T[o, P] Tr(P rho) in the state rho right behind
            those gates, on the n qubits of `lowered`, the highest most significant.
        """
        real = torch.float64
        frame = Frame(PauliTransfer(), self.inputs, self.weights, Kind(real, real, torch.device("cpu")))
        rows = frame.constant(readout_rows(self.lowered, self.observables).T[None])
        if not self._grouped.segments:
            return rows[0].T
        behind = Segment((), self._grouped.segments[-1].independent)
        nothing, column = (
            torch.zeros(len(self.inputs), 1, dtype=real),
            weights.detach().cpu().to(real)[:, None],
        )
        return SegmentEvolution(behind, rows, frame).prepare(nothing, column)[0][0]

    def _compile(self, real: torch.dtype, device: torch.device) -> _Compiled:
        amplitudes = self.plan.engine != "pauli_transfer"
        kind = Kind(real, STATE_DTYPES["amplitudes" if amplitudes else "pauli_transfer"][real], device)
        compiled = self._compiled.get(kind)
        if compiled is None:
            # Constants that were born in inference mode could not be used in a training step later, and those that were
            # born under a transform of torch.func belong to it.
            with torch.inference_mode(False):
                compiled = _Compiled(self, kind)
            if not _under_functorch():
                self._compiled[kind] = compiled
        return compiled

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_compiled": {}}


class _Compiled:
    """A simulator's tensors for one dtype and device, and the fused matrices of the weights seen last."""

    def __init__(self, simulator: ExactSimulator, kind: Kind) -> None:
        lowered, grouped, fuse = simulator.lowered, simulator._grouped, simulator.plan.fuse
        transfer = simulator.plan.engine == "pauli_transfer"
        representation: Representation = (
            PauliTransfer() if transfer else Amplitudes(simulator._samples, simulator._seed)
        )
        frame = Frame(representation, simulator.inputs, simulator.weights, kind)
        self._readout = None if transfer else AmplitudeReadout(lowered, simulator.observables)
        self._num_inputs = len(simulator.inputs)
        self._product = ProductState(grouped.prefixes, frame)
        final = frame.constant(readout_rows(lowered, simulator.observables).T[None]) if transfer else None
        size = representation.dimension**lowered.num_qubits
        self._segments = []
        for i, (segment, fused) in enumerate(zip(grouped.segments, fuse, strict=True)):
            rows = None
            if fused:  # only then: an identity of this size may not fit into memory
                last = i == len(fuse) - 1
                rows = (
                    final if last and final is not None else torch.eye(size).to(kind.device, kind.state)[None]
                )
            self._segments.append(SegmentEvolution(segment, rows, frame))
        self._final = None if final is None or any(fuse[-1:]) else final.mT  # (1, O, 4^n)
        self._cache: tuple[bytes, list[list[Tensor]]] | None = None

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """(I, B) and (W, 1) to (B, O)."""
        prepared = self._prepared(weights)
        state = self._product(inputs, weights)  # (S, d^n, B)
        for segment, ready in zip(self._segments, prepared, strict=True):
            state = segment(state, inputs, weights, ready)
        if self._readout is not None:
            return self._readout(state)
        return (state if self._final is None else self._final @ state)[0].T

    def _prepared(self, weights: Tensor) -> list[list[Tensor]]:
        """The image-independent matrices; kept by the weights' values where no gradient to the weights is wanted."""
        trained = torch.is_grad_enabled() and weights.requires_grad and weights.numel() > 0
        if trained or _under_functorch() or _carries_tangent(weights):
            return self._prepare(weights)
        key = weights.detach().cpu().numpy().tobytes()
        cached = self._cache
        if cached is None or cached[0] != key:
            with torch.inference_mode(False), torch.no_grad():
                self._cache = cached = (key, self._prepare(weights.clone()))
        return cached[1]  # not self._cache: another thread may have replaced it

    def _prepare(self, weights: Tensor) -> list[list[Tensor]]:
        nothing = weights.new_zeros(self._num_inputs, 1)
        return [segment.prepare(nothing, weights) for segment in self._segments]


def _carries_tangent(weights: Tensor) -> bool:
    return forward_ad.unpack_dual(weights).tangent is not None  # type: ignore[no-untyped-call]


def _under_functorch() -> bool:
    return torch._C._functorch.peek_interpreter_stack() is not None
