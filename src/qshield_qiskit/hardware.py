"""A run's circuits on a device: what they would cost, and sending them without waiting."""

from __future__ import annotations

from collections.abc import Sequence

from qshield_qiskit import config, evaluation
from qshield_qiskit.devices.ibm import ServiceBackend
from qshield_qiskit.devices.jobs.outcomes import Plan
from qshield_qiskit.devices.jobs.submission import ServiceExecutor
from qshield_qiskit.devices.local import RuntimeBackend
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.runs import Run
from qshield_qiskit.training.figures import classify


def submit_run(
    run: Run, dotted: Sequence[str], *, terms: Terms | None = None, dry: bool = False
) -> tuple[Plan, HybridClassifier]:
    """Send the circuits of an evaluation to a device and wait for nothing; `evaluate` fetches and counts them.

    Args:
        run: The run.
        dotted: Overrides of backend, evaluation, data.root and data.mirror.
        terms: On what terms the device is used.
        dry: Only say what would be sent and what it would cost, also for a device's snapshot.

    Returns:
        What was, or would be, sent, and the model on its backend.

    Raises:
        InputError: The backend is no device, or whatever keeps it from being used.
    """
    settings = config.override(run.config, dotted, evaluation.KEYS)
    model, images, _ = evaluation.to_evaluate(run, settings, terms)
    backend = model.backend
    if not isinstance(backend, ServiceBackend if not dry else RuntimeBackend):
        also = ", or a snapshot such as backend=fake_torino" if dry else ""
        raise InputError(
            f"backend={settings.backend.name}: expected a device of IBM's, such as backend=ibm_runtime{also}; "
            "what runs on this machine is had by: qshield evaluate"
        )
    assert isinstance(backend, RuntimeBackend) and backend.calibration is not None
    if not isinstance(backend, ServiceBackend):
        snapshot = ServiceBackend.calibrated(backend.name, backend.calibration, options=backend.options)
        model = model.with_backend(snapshot, {"shots": model.shots})
    executor = model.executor
    assert isinstance(executor, ServiceExecutor)
    with executor, executor.planning() if dry else executor.submitting() as plan:
        classify(model, images, settings.evaluation.batch_size)
    return plan, model
