"""How expressive and how entangling the circuit templates are, and what they cost on real devices."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qshield_qiskit import catalog
from qshield_qiskit.config import CircuitStudySettings
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.footprint import footprint
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.entanglement import haar_entanglement, meyer_wallach
from qshield_qiskit.quantum.expressibility import (
    expressibility,
    expressibility_interval,
    fidelities,
    haar_floor,
)
from qshield_qiskit.quantum.statevectors import statevectors
from qshield_qiskit.quantum.template import CircuitTemplate
from qshield_qiskit.reporting.circuit_study import study_tables, write_study
from qshield_qiskit.seeding import derive
from qshield_qiskit.studies import Announce, Studied, settings

Row = dict[str, Any]

Z = 1.959964
"""Standard errors in a 95 % interval."""


def run(words: Sequence[str], announce: Announce | None = None) -> Studied:
    """Study circuits; `words` are overrides of `CircuitStudySettings`.

    Args:
        words: Such as "num_qubits=3 reps=1,2,3".
        announce: Hears of every circuit.

    Raises:
        InputError: A setting does not fit.
    """
    wanted = settings(CircuitStudySettings, words)
    facts = study_circuits(wanted, announce)
    facts["command"] = shlex.join(["qshield", "study", "circuits", *words])
    return Studied(study_tables(facts), facts, write_study(wanted.output, facts))


def study_circuits(wanted: CircuitStudySettings, announce: Announce | None = None) -> dict[str, Any]:
    """Sample and transpile every circuit.

    Returns:
        num_qubits, samples, seed, calibrations with their dates, what uniformly drawn states would show, and a row for
        each circuit and number of layers.

    Raises:
        InputError: A name is unknown, a list is empty, or a calibration has too few qubits.
    """
    for name in ("circuits", "reps", "calibrations"):
        if getattr(wanted, name) == []:
            raise InputError(f"{name}=[]: expected one or more, separated by commas, or leave it out")
    names = wanted.circuits or list(catalog.find("circuits"))
    devices = _devices(wanted)
    templates = [
        (name, reps, _template(name, reps, wanted))
        for name in dict.fromkeys(names)
        for reps in dict.fromkeys(wanted.reps)
    ]
    rows = []
    for number, (name, reps, template) in enumerate(templates):
        if announce is not None:
            announce(f"{name}, reps {reps}", number, len(templates))
        rows.append(
            {
                "circuit": name,
                "reps": reps,
                "inputs": template.num_inputs,
                "weights": template.num_weights,
                **_sampled(template, wanted.samples, derive(wanted.seed, name, reps)),
                "devices": [asdict(footprint(template.circuit, device)) for device in devices],
            }
        )
    return {
        "num_qubits": wanted.num_qubits,
        "samples": wanted.samples,
        "seed": wanted.seed,
        "encoding": wanted.encoding or "the template's own",
        "calibrations": devices,
        "haar": {
            "expressibility": haar_floor(wanted.samples, wanted.num_qubits, derive(wanted.seed, "haar")),
            "entangling_capability": haar_entanglement(wanted.num_qubits),
        },
        "rows": rows,
    }


def _template(name: str, reps: int, wanted: CircuitStudySettings) -> CircuitTemplate:
    """Build a template; a file of one's own may do without reps if one layer is asked for."""
    declared = catalog.declared_settings("circuits", name) or {"reps"}
    options: dict[str, Any] = {"reps": reps} if "reps" in declared or reps != 1 else {}
    given = {"encoding": wanted.encoding, "reupload": wanted.reupload}
    options |= {key: value for key, value in given.items() if value is not None}
    return catalog.load_circuit(name, wanted.num_qubits, **options)


def _devices(wanted: CircuitStudySettings) -> dict[str, str]:
    """Give the calibrations by name, with their dates; of our own choice only those with enough qubits."""
    known = calibrations.find()
    for name in wanted.calibrations or ():
        if name not in known:
            raise unknown("calibration", name, known)
    read = {name: Calibration.from_json(known[name]) for name in wanted.calibrations or known}
    small = [name for name, each in read.items() if each.num_qubits < wanted.num_qubits]
    if wanted.calibrations and small:
        raise InputError(
            f"calibrations={','.join(small)}: fewer than {wanted.num_qubits} qubits; leave calibrations out for all "
            "that have enough"
        )
    return {name: f"{each.taken_at:%Y-%m-%d}" for name, each in read.items() if name not in small}


def _sampled(template: CircuitTemplate, samples: int, seed: int) -> Row:
    """Draw pairs of states, their angles uniform in [-pi, pi], and measure them."""
    first, second = (_states(template, samples, derive(seed, which)) for which in ("first", "second"))
    found = fidelities(first, second)
    entanglement = meyer_wallach(first)
    low, high = expressibility_interval(found, template.num_qubits, derive(seed, "bootstrap"))
    error = Z * float(entanglement.std(ddof=1)) / math.sqrt(samples)
    mean = float(entanglement.mean())
    return {
        "expressibility": expressibility(found, template.num_qubits),
        "expressibility_low": low,
        "expressibility_high": high,
        "entangling_capability": mean,
        "entangling_capability_low": max(0.0, mean - error),
        "entangling_capability_high": min(1.0, mean + error),
    }


def _states(template: CircuitTemplate, count: int, seed: int) -> NDArray[np.complex128]:
    """Draw states of the noiseless template, (count, 2^n)."""
    parameters = [*template.inputs, *template.weights]
    generator = torch.Generator().manual_seed(seed)
    angles = (2 * torch.rand(count, len(parameters), generator=generator, dtype=torch.float64) - 1) * math.pi
    return statevectors(template.circuit, parameters, angles).numpy()
