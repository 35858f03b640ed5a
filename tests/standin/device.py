"""A device of the stand-in: a snapshot's configuration and calibrations, executed by Aer with that noise."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import models
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider.executor.run_quantum_program import run_quantum_program
from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program.converters.converters_2_0 import passthrough_data_to_2_0
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from qshield_qiskit.devices.snapshot import fake_device, take_snapshot
from qshield_qiskit.quantum.calibration import Calibration


class StandInDevice:
    """A device that reports what a snapshot reports, under a name of its own.

    Args:
        name: Its name, such as "ibm_standin".
        snapshot: Name of the fake device behind it.
        queue_length: How many jobs of others it says are waiting.
    """

    def __init__(
        self, name: str = "ibm_standin", snapshot: str = "fake_manila", queue_length: int = 0
    ) -> None:
        fake = fake_device(snapshot)
        folder = Path(fake.dirname)
        self.name = name
        self.snapshot = type(fake)
        self.queue_length = queue_length
        self.paused = self.retired = False
        self.configuration = json.loads((folder / fake.conf_filename).read_text())
        self.configuration.update(backend_name=name, simulator=False, local=False)
        properties = _in_utc(json.loads((folder / fake.props_filename).read_text()))
        self.calibrations: list[dict[str, Any]] = [{**properties, "backend_name": name}]  # newest last
        self._read: dict[int, Calibration] = {}

    @property
    def num_qubits(self) -> int:
        return int(self.configuration["n_qubits"])

    def properties(self, before: datetime | None = None) -> dict[str, Any]:
        """The newest figures, or the newest that are no younger than a time (the oldest if all are)."""
        old = [item for item in self.calibrations if before is None or _date(item) <= before]
        return (old or self.calibrations[:1])[-1]

    def recalibrate(self, factor: float = 1.5) -> None:
        """Report new figures from now on: times divided and errors multiplied by a factor."""
        new = copy.deepcopy(self.calibrations[-1])
        now = max(datetime.now(UTC), _date(new) + timedelta(seconds=1))
        new["last_update_date"] = _utc(now)
        for qubit in new["qubits"]:
            for figure in qubit:
                if figure["name"] in ("T1", "T2"):
                    figure["value"] /= factor
                elif figure["name"] in ("readout_error", "prob_meas0_prep1", "prob_meas1_prep0"):
                    figure["value"] = min(0.5, figure["value"] * factor)
        for gate in new["gates"]:
            for figure in gate["parameters"]:
                if figure["name"] == "gate_error" and figure["value"] < 1:
                    figure["value"] = min(0.75, figure["value"] * factor)
        self.calibrations.append(new)

    def calibration(self) -> Calibration:
        """The newest figures of all qubits, as our own code reads them."""
        count = len(self.calibrations)
        if count not in self._read:
            self._read[count] = take_snapshot(_fake(self.snapshot, self.calibrations[-1]))
        return self._read[count]

    def run(self, params: dict[str, Any], seed: int | None = None) -> tuple[str, int]:
        """Execute an `executor` job, the program behind today's Sampler and Estimator.

        Only the qubits in use are simulated, with readout as asymmetric as it is measured.

        Returns:
            The result as the service words it, and the number of executions (circuits x shots).
        """
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[params["schema_version"]]
        program, _ = converter.decoder(converter.model.model_validate(params))
        data, executions = [], 0
        for item in program.items:
            if hasattr(item, "samplex"):
                item.samplex.finalize()
            circuit, noisy = self._reduced(item.circuit)
            part = copy.copy(program)
            part.items = [copy.copy(item)]
            part.items[0].circuit = circuit
            result = run_quantum_program(noisy, part, SimulatorOptions(seed_simulator=seed))
            executions += program.shots * int(np.prod(item.shape, dtype=int))
            data.append(
                models.QuantumProgramResultItemModel(
                    results={
                        name: CompressedTensorModel.from_numpy(np.ascontiguousarray(values))
                        for name, values in dict(result[0]).items()
                    },
                    metadata=models.ItemMetadataModel(),
                )
            )
        answer = models.QuantumProgramResultModel(
            data=data,
            metadata=models.MetadataModel(chunk_timing=[]),
            passthrough_data=passthrough_data_to_2_0(program.passthrough_data),
            semantic_role=program._semantic_role,
        )
        return answer.model_dump_json(), executions

    def _reduced(self, circuit: QuantumCircuit) -> tuple[QuantumCircuit, AerSimulator]:
        """Keep the qubits that a circuit does something on, and give the simulator of just these."""
        index = {qubit: i for i, qubit in enumerate(circuit.qubits)}
        busy = {
            q for step in circuit.data if step.operation.name not in ("barrier", "delay") for q in step.qubits
        }
        used = sorted(index[qubit] for qubit in busy) or [0]
        small = QuantumCircuit(len(used), global_phase=circuit.global_phase)
        small.add_bits(
            bit for bit in circuit.clbits if not any(bit in register for register in circuit.cregs)
        )
        small.add_register(*circuit.cregs)
        place = {circuit.qubits[old]: small.qubits[new] for new, old in enumerate(used)}
        for step in circuit.data:
            kept = [place[qubit] for qubit in step.qubits if qubit in place]
            if step.operation.name == "barrier" and kept:
                small.barrier(kept)
            elif len(kept) == len(step.qubits):
                small.append(step.operation, kept, step.clbits)
        noise = self.calibration().reduce(used).noise_model()
        return small, AerSimulator(
            noise_model=noise, method="density_matrix" if len(used) <= 8 else "matrix_product_state"
        )


def _date(properties: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(properties["last_update_date"])


def _utc(date: datetime) -> str:
    return date.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _in_utc(content: Any) -> Any:
    """Give all dates in UTC, as the service does; snapshots have them in the time zone of whoever took them."""
    if isinstance(content, dict):
        return {
            key: _utc(datetime.fromisoformat(value))
            if key in ("date", "last_update_date")
            else _in_utc(value)
            for key, value in content.items()
        }
    return [_in_utc(item) for item in content] if isinstance(content, list) else content


def _fake(snapshot: type[FakeBackendV2], properties: dict[str, Any]) -> FakeBackendV2:
    """The snapshot's device with other figures."""

    class Fake(snapshot):
        backend_name = properties["backend_name"]

        def _load_json(self, filename: str) -> Any:
            return (
                copy.deepcopy(properties) if filename == self.props_filename else super()._load_json(filename)
            )

    return Fake()
