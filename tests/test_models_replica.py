"""The paper's pipeline as published, by options of the ordinary classifier: random, detached, with nothing to train."""

import math

import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch.nn.functional import cross_entropy

from qshield_qiskit import catalog
from qshield_qiskit.assembly import build_model
from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.config import load_settings
from qshield_qiskit.data import Dataset, Split
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.projection import RandomExpansion
from qshield_qiskit.models.readout import BasisStates
from qshield_qiskit.quantum.template import CircuitTemplate

SHAPE = (1, 8, 8)
NUM_CLASSES = 4
OPTIONS = {
    "features": "logits",
    "projection": "random_expansion",
    "detach_circuit": True,
    "readout": "basis_states",
}
AS_PUBLISHED = OPTIONS | {"fusion": "dynamic"}
REPLICAS = [name for name in catalog.find("experiments") if name.startswith("paper/replica_")]


def make(*, circuit=None, branch="circuit", num_classes=NUM_CLASSES, **options):
    torch.manual_seed(0)
    template = load_circuit("full", 2, **{"reps": 1, "ansatz": "none"} | (circuit or {}))
    return HybridClassifier(
        template,
        load_backend("paper_noise", 2),
        num_classes=num_classes,
        input_shape=SHAPE,
        branch=branch,
        backbone="dnn",
        **options,
    ).eval()


def some_images(batch=5, dtype=torch.float32):
    return torch.rand(batch, *SHAPE, generator=torch.Generator().manual_seed(1)).to(dtype)


def log_probabilities(model, images):
    with torch.no_grad():
        return model(images).log_softmax(-1)


def test_the_same_images_twice_give_two_predictions_in_eval_mode():
    replica, default = make(**AS_PUBLISHED), make()
    first, second = (log_probabilities(replica, some_images()) for _ in range(2))
    assert (first - second).abs().max() > 0.01
    assert torch.equal(log_probabilities(default, some_images()), log_probabilities(default, some_images()))


def test_torchs_generator_decides_what_the_expansion_draws():
    replica = make(**AS_PUBLISHED)
    outputs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outputs.append(log_probabilities(replica, some_images()))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_the_expansion_keeps_norms_and_angles_between_standardised_values():
    values = torch.randn(7, 10, dtype=torch.float64)
    expanded = RandomExpansion(10, 12)(values)
    standardised = (values - values.mean(-1, keepdim=True)) / values.std(-1, keepdim=True, correction=0)
    assert expanded.shape == (7, 12)
    torch.testing.assert_close(expanded @ expanded.T, standardised @ standardised.T, rtol=1e-4, atol=1e-4)
    alike = RandomExpansion(10, 12)(torch.ones(2, 10, requires_grad=True))  # nothing to standardise by
    assert torch.equal(alike, torch.zeros(2, 12))


@pytest.mark.parametrize("option", ["detach_circuit", None])
def test_a_detached_branch_carries_no_gradient_to_the_pixels(option):
    model = make(**{option: True} if option else {})
    images = some_images().requires_grad_()
    stages = model.branches(images)
    (classical,) = torch.autograd.grad(stages.classical.square().sum(), images, retain_graph=True)
    (quantum,) = torch.autograd.grad(stages.quantum.square().sum(), images, allow_unused=True)
    assert classical.abs().sum() > 0
    assert (quantum is None) == (option is not None)


def test_a_detached_branch_still_trains_what_is_its_own():
    model = make(detach_circuit=True, features="logits", circuit={"ansatz": "rotations"}).train()
    parameters = dict(model.named_parameters())
    loss = cross_entropy(model.branches(some_images(8)).quantum, torch.arange(8) % NUM_CLASSES)
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    trained = {
        name.split(".")[0]
        for name, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    }
    assert trained == {"layer", "projection", "readout"}


def test_the_quantum_branch_as_published_has_nothing_to_train():
    replica, twin = make(**AS_PUBLISHED), make(branch="none")
    trained = [name for name, parameter in replica.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[0] for name in trained} == {"backbone", "head", "fusion"}
    fusion = sum(parameter.numel() for parameter in replica.fusion.parameters())
    assert replica.num_parameters == replica.num_parameters_matched == twin.num_parameters + fusion
    stages = replica.branches(some_images().requires_grad_())
    assert not (stages.angles.requires_grad or stages.outcomes.requires_grad or stages.quantum.requires_grad)
    assert stages.logits.requires_grad


def test_basis_states_are_class_probabilities_in_closed_form():
    r"""RY(a) on qubit 0 and RY(b) on qubit 1: P(b_1 b_0) are products of cos^2 and sin^2 of half the angles."""
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(x[0], 0)
    circuit.ry(x[1], 1)
    model = HybridClassifier(
        CircuitTemplate(circuit, inputs=x),
        load_backend("aer_ideal", 2),
        num_classes=3,
        input_shape=SHAPE,
        readout="basis_states",
    ).eval()
    stages = model.double().branches(some_images(dtype=torch.float64))
    up, down = (stages.angles / 2).cos().square().T, (stages.angles / 2).sin().square().T
    expected = torch.stack([up[0] * up[1], down[0] * up[1], up[0] * down[1]], dim=-1)
    expected = expected / expected.sum(-1, keepdim=True)
    torch.testing.assert_close(stages.quantum, expected.log())


def test_impossible_basis_states_stay_finite_and_so_do_their_gradients():
    outcomes = torch.tensor([[1.0, 0.0, -1e-8, 0.0], [0.0, 0.0, 0.0, 1.0]], requires_grad=True)
    scores = BasisStates(4, 3, probabilities=True)(outcomes)
    (gradient,) = torch.autograd.grad(scores.sum(), outcomes)
    torch.testing.assert_close(scores.exp()[0], torch.tensor([1.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(scores.exp()[1], torch.full((3,), 1 / 3))
    assert scores.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("options", [{}, AS_PUBLISHED], ids=["default", "as published"])
def test_a_saved_model_comes_back_with_its_options(tmp_path, options):
    model = make(**options)
    model.save_pretrained(tmp_path)
    loaded = HybridClassifier.from_pretrained(tmp_path)
    names = ("features_name", "projection_name", "detach_circuit", "readout_name", "num_parameters")
    assert [getattr(loaded, name) for name in names] == [getattr(model, name) for name in names]
    outputs = []
    for each in (model, loaded, model.with_backend(load_backend("paper_noise", 2))):
        torch.manual_seed(2)
        outputs.append(log_probabilities(each, some_images()))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_another_backend_serves_the_replica_too():
    replica = make(**AS_PUBLISHED)
    ideal = replica.with_backend(load_backend("aer_ideal", 2))
    torch.manual_seed(2)
    before = replica.branches(some_images())
    torch.manual_seed(2)
    after = ideal.branches(some_images())
    assert torch.equal(before.angles, after.angles)
    assert 1e-5 < (before.outcomes - after.outcomes).abs().max() < 0.05


@pytest.mark.parametrize("options", [{"features": "logits"}, {"projection": "random_expansion"}], ids=str)
def test_a_control_knows_the_hybrid_with_the_same_options(options):
    options = {"features": "logits"} | options
    hybrid, control = make(**options), make(branch="control", **options)
    assert control.num_parameters_matched == hybrid.num_parameters
    assert control(some_images()).isfinite().all()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"features": "pixels"}, "no such kind of features: 'pixels'"),
        ({"projection": "pca"}, "no such projection: 'pca'"),
        ({"readout": "basis_state"}, "no such readout: .*did you mean basis_states"),
        (
            {"projection": "random_expansion"},
            "cannot expand 128 values to 6 angles; try model.features=logits",
        ),
        ({"readout": "basis_states", "branch": "control"}, "needs a circuit that reads probabilities"),
        (
            {"readout": "basis_states", "circuit": {"readout": "z"}},
            "needs a circuit that reads probabilities",
        ),
        ({"readout": "basis_states", "num_classes": 5}, "5 classes, .*only 4 .*try circuit.num_qubits=3"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_said_in_one_line(options, line):
    with pytest.raises(InputError, match=line) as caught:
        make(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", REPLICAS)
def test_the_replicas_are_the_papers_experiments_with_every_option(name):
    found = load_settings(name).model_dump()
    plain = load_settings(name.replace("replica_", "")).model_dump()
    assert {key: found["model"][key] for key in AS_PUBLISHED} == AS_PUBLISHED
    assert found["data"]["validation_fraction"] == 0
    for section, options in (("model", AS_PUBLISHED), ("data", ["validation_fraction"])):
        for option in options:
            found[section].pop(option), plain[section].pop(option)
    del found["experiment"], plain["experiment"]
    assert found == plain


@pytest.mark.parametrize("num_classes", [10, 11])  # OrganAMNIST has 11
def test_a_replica_is_built_from_its_settings(num_classes):
    one = Split(torch.rand(2, *SHAPE), torch.zeros(2, dtype=torch.int64))
    dataset = Dataset("some", one, one, one, tuple(map(str, range(num_classes))))
    model = build_model(load_settings("paper/replica_digits"), dataset).eval()
    stages = model.branches(some_images())
    assert stages.angles.shape == (5, 12)
    assert stages.angles.abs().max() <= math.pi
    torch.testing.assert_close(stages.quantum.exp().sum(-1), torch.ones(5))
    assert (model.features_name, model.projection_name) == ("logits", "random_expansion")
    assert model.detach_circuit and model.readout_name == "basis_states"


def test_the_noise_of_a_built_model_follows_the_runs_seed():
    one = Split(torch.rand(2, *SHAPE), torch.zeros(2, dtype=torch.int64))
    dataset = Dataset("some", one, one, one, tuple("0123456789"))
    seeds = [build_model(load_settings("digits", [f"seed={seed}"]), dataset).seed for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_there_is_a_replica_of_every_experiment_of_the_paper():
    papers = {name for name in catalog.find("experiments") if name.startswith("paper/")} - set(REPLICAS)
    assert {name.replace("replica_", "") for name in REPLICAS} == papers
