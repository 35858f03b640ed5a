"""The penalty on the encoding: its closed form, what it reaches, and what it does to a model."""

import math

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from trainings import make, some

from qshield_qiskit.catalog import load_circuit
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.template import CircuitTemplate
from qshield_qiskit.training.fitting import fit
from qshield_qiskit.training.lipschitz import LipschitzPenalty, build_penalty, encoding_slopes
from qshield_qiskit.training.task import ClassifierTask


def test_each_input_of_an_angle_encoding_turns_one_rotation():
    for encoding, inputs in (("angle", 3), ("enhanced_angle", 9)):
        template = load_circuit("full", 3, encoding=encoding)
        np.testing.assert_array_equal(encoding_slopes(template), np.eye(inputs))
    uploaded = load_circuit("full", 3, encoding="angle", reps=2, reupload=True)
    np.testing.assert_array_equal(encoding_slopes(uploaded), np.tile(np.eye(3), (2, 1)))


def test_slopes_bound_the_derivatives_of_every_angle():
    """A ZZ feature map: 2 x_i, and 2 (pi - x_0)(pi - x_1), whose slope is at most 2 (pi + pi)."""
    slopes = encoding_slopes(load_circuit("full", 2, encoding="zz"))
    np.testing.assert_allclose(slopes, [[2, 0], [0, 2], [4 * math.pi, 4 * math.pi]])


def test_an_angle_without_a_bound_is_one_line():
    x, w = Parameter("x"), Parameter("w")
    for angle, line in ((x**3, "slope has no bound here"), (w * x, "weights scale the circuit's inputs")):
        circuit = QuantumCircuit(1)
        circuit.ry(angle, 0)
        weights = [w] if w in circuit.parameters else []
        with pytest.raises(InputError, match=rf"^[^\n]*{line}[^\n]*$"):
            encoding_slopes(CircuitTemplate(circuit, inputs=[x], weights=weights))


def test_the_penalty_is_the_papers(digits):
    """Enhanced angles: one rotation an input, with a generator of norm 1/2, at pi times its row of W."""
    model = make(digits)
    norm, linear = model.projection
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    rows = (linear.weight * norm.weight).square().sum(1)
    torch.testing.assert_close(LipschitzPenalty(model)(model), (math.pi / 2) ** 2 * rows.sum())


def test_outcomes_change_no_faster_than_the_generators_allow(digits):
    r"""|dg / dz| <= 2 |M| \sum_j |w_j| |H_j| with M = a basis state's projector, moved to norm 1/2."""
    model = make(digits).double().eval()
    linear = model.projection[1]
    with torch.no_grad():
        linear.weight.mul_(5)
    z = torch.randn(40, linear.in_features, dtype=torch.float64)

    def outcomes(values):
        return model.layer(math.pi * torch.tanh(linear(values)))

    jacobian = torch.func.vmap(torch.func.jacrev(outcomes))(z)  # (B, O, F)
    bound = math.pi * linear.weight.norm(dim=1).sum() / 2
    assert jacobian.norm(dim=-1).max() < bound
    assert jacobian.norm(dim=-1).max() > 0.02 * bound


def test_the_penalty_reaches_the_encoding_and_nothing_else(digits):
    for branch in ("circuit", "control"):
        model = make(digits, branch=branch)
        build_penalty(model, 1.0)(model).backward()
        reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert reached == {"projection.0.weight", "projection.1.weight"}


def test_the_loss_counts_the_penalty_by_its_weight(digits):
    model = make(digits).eval()
    batch = digits.train.images[:8], digits.train.labels[:8]
    losses = [
        ClassifierTask(model, learning_rate=1e-3, weight_decay=0, lipschitz_weight=weight).training_step(
            batch, 0
        )
        for weight in (0.0, 0.1)
    ]
    assert losses[0]["fused"] == losses[1]["fused"]
    torch.testing.assert_close(losses[1]["loss"] - losses[0]["loss"], 0.1 * LipschitzPenalty(model)(model))


def test_penalised_models_have_slower_encodings(digits, tmp_path):
    penalties = []
    for weight in (0.0, 0.1, 3.0):
        model = make(digits)
        settings = some(epochs=6, learning_rate=5e-3, lipschitz_weight=weight)
        fit(model, digits, settings, tmp_path / str(weight), seed=0)
        penalties.append(LipschitzPenalty(model)(model).item())
    assert penalties[0] > 1.2 * penalties[1] > 1.2 * penalties[2]


def test_a_twin_has_nothing_to_penalise_and_a_random_encoding_refuses(digits, tmp_path):
    assert build_penalty(make(digits, branch="none"), 1.0) is None
    assert build_penalty(make(digits), 0.0) is None
    model = make(digits, projection="random_expansion", features="logits")
    with pytest.raises(InputError, match=r"^training.lipschitz_weight: [^\n]*try model.projection=trained$"):
        fit(model, digits, some(lipschitz_weight=0.1), tmp_path, seed=0)
