"""The hybrid classifier: one road for the gradient through both branches, no image that sees its neighbours."""

import math

import pytest
import torch

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.fusion import FUSIONS
from qshield_qiskit.models.hybrid import HybridClassifier

SHAPE = (1, 8, 8)
NUM_CLASSES = 4


@pytest.fixture(scope="module")
def noisy():
    return load_backend("aer_noisy", 2)


def make(backend, branch="circuit", *, seed=0, circuit=None, **options):
    torch.manual_seed(seed)
    template = load_circuit("full", 2, **(circuit or {}))
    settings = {"num_classes": NUM_CLASSES, "input_shape": SHAPE, "branch": branch} | options
    return HybridClassifier(template, backend, **settings).eval()


def some_images(batch=5, dtype=torch.float32):
    return torch.rand(batch, *SHAPE, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("branch", ["circuit", "control"])
def test_every_stage_has_its_shape_and_range(noisy, branch, fusion):
    model = make(noisy, branch, fusion=fusion)
    with torch.no_grad():
        stages = model.branches(some_images())
    assert stages.classical.shape == stages.quantum.shape == stages.logits.shape == (5, NUM_CLASSES)
    assert stages.angles.shape == (5, 6)
    assert stages.angles.abs().max() < math.pi
    assert ((stages.weight >= 0) & (stages.weight <= 1)).all()
    assert torch.equal(model(some_images()), stages.logits)
    if branch == "circuit":
        torch.testing.assert_close(stages.outcomes.sum(-1), torch.ones(5))


@pytest.mark.parametrize("branch", ["classical", "quantum", "logits"])
def test_gradients_reach_the_pixels_through_both_branches(noisy, branch):
    model = make(noisy).double()
    images = some_images(dtype=torch.float64).requires_grad_()
    output = getattr(model.branches(images), branch)
    direction = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((output * direction).sum(), images)
    assert (gradient.flatten(1).norm(dim=1) > 1e-6).all()
    step = torch.randn(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        up, down = (getattr(model.branches(images + h * step), branch) for h in (1e-6, -1e-6))
    slope = ((up - down) * direction).sum() / 2e-6
    torch.testing.assert_close((gradient * step).sum(), slope, rtol=1e-4, atol=1e-6)


def test_every_parameter_of_a_mixing_hybrid_is_trained(noisy):
    model = make(noisy).train()
    torch.nn.functional.cross_entropy(model(some_images(8)), torch.arange(8) % NUM_CLASSES).backward()
    # the last RZ of a qubit turns phases that probabilities do not show, so single entries may be zero
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@pytest.mark.parametrize("backbone", ["small_cnn", "dnn", "resnet18"])
@pytest.mark.parametrize("fusion", ["dynamic", "entropy", "weighted_sum"])
def test_an_image_is_classified_alike_in_every_company(noisy, backbone, fusion):
    model = make(noisy, backbone=backbone, fusion=fusion)
    with torch.no_grad():
        model.train()(some_images(16))  # move the running means off their start
        model.eval()
        together = model(some_images(6))
        for index in range(6):
            alone = model(some_images(6)[index : index + 1])
            torch.testing.assert_close(alone, together[index : index + 1], rtol=0, atol=1e-6)
        others = torch.cat([torch.ones(2, *SHAPE), some_images(6)])
        torch.testing.assert_close(model(others)[2:], together, rtol=0, atol=1e-6)


def test_evaluation_is_deterministic(noisy):
    model = make(noisy)
    assert torch.equal(model(some_images()), model(some_images()))


def test_twin_and_control_start_from_the_hybrids_backbone_and_head(noisy):
    hybrid, control, twin = (
        make(noisy, branch, seed=7).state_dict() for branch in ("circuit", "control", "none")
    )
    assert set(twin) == {name for name in hybrid if name.startswith(("backbone.", "head."))}
    for name, tensor in twin.items():
        assert torch.equal(tensor, hybrid[name])
        assert torch.equal(tensor, control[name])


def test_the_twin_is_backbone_and_head_alone():
    model = HybridClassifier(num_classes=NUM_CLASSES, input_shape=SHAPE, branch="none").eval()
    stages = model.branches(some_images())
    assert torch.equal(stages.logits, model.head(model.backbone(some_images())))
    assert stages[1:5] == (None,) * 4


@pytest.mark.parametrize(
    ("num_qubits", "num_classes", "circuit"),
    [(4, 10, {}), (2, 4, {}), (3, 8, {"readout": "z"}), (4, 10, {"ansatz": "none"}), (2, 2, {"reps": 4})],
    ids=str,
)
def test_the_control_has_as_many_parameters_as_the_hybrid(num_qubits, num_classes, circuit):
    template = load_circuit("full", num_qubits, **circuit)
    settings = {"num_classes": num_classes, "input_shape": SHAPE}
    hybrid = HybridClassifier(template, load_backend("aer_ideal", num_qubits), **settings)
    control = HybridClassifier(template, branch="control", **settings)
    assert control.num_parameters_matched == hybrid.num_parameters
    one_unit = template.num_inputs + 1 + num_classes
    difference = control.num_parameters - hybrid.num_parameters
    assert abs(difference) <= one_unit / 2 or (difference > 0 and control.layer.num_outputs == 1)


def test_another_backend_takes_the_same_weights(noisy):
    model = make(noisy)
    ideal = model.with_backend(load_backend("aer_ideal", 2))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), ideal.parameters(), strict=True))
    with torch.no_grad():
        before, after = model.branches(some_images()), ideal.branches(some_images())
    assert torch.equal(before.classical, after.classical)
    assert 1e-4 < (before.outcomes - after.outcomes).abs().max() < 0.2  # a good device's noise
    assert model.backend is noisy


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_another_backend_moves_no_random_numbers_and_thaws_nothing(noisy, dtype):
    model = make(noisy).to(dtype)
    with torch.no_grad():
        model.layer.weight += torch.rand(model.layer.weight.shape, dtype=dtype)
    model.layer.requires_grad_(False)
    state = torch.get_rng_state()
    ideal = model.with_backend(load_backend("aer_ideal", 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(ideal.layer.weight, model.layer.weight)
    assert ideal.num_parameters == model.num_parameters
    assert not ideal.layer.weight.requires_grad
    assert ideal.head.weight.requires_grad


def test_expectation_values_feed_the_readout_as_they_are(noisy):
    model = make(noisy, circuit={"readout": "z"}).double()
    stages = model.branches(some_images(dtype=torch.float64))
    assert stages.outcomes.shape == (5, 2)
    torch.testing.assert_close(stages.quantum, model.readout(stages.outcomes))


def test_probabilities_are_centred_for_the_readout(noisy):
    model = make(noisy).double()
    stages = model.branches(some_images(dtype=torch.float64))
    expected = (4 * stages.outcomes - 1) @ model.readout.weight.T + model.readout.bias
    torch.testing.assert_close(stages.quantum, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_output_has_the_models_precision(noisy, dtype):
    assert make(noisy).to(dtype)(some_images(dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("branch", ["circuit", "control"])
def test_mixed_precision_spares_the_second_branch(noisy, branch):
    model = make(noisy, branch=branch)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        stages = model.branches(some_images())
    assert stages.outcomes.dtype == stages.logits.dtype == torch.float32
    torch.testing.assert_close(stages.outcomes, model.layer(stages.angles).detach(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"branch": "quantum"}, "no such branch"),
        ({"template": None}, "needs a circuit template"),
        ({"backend": None}, "needs a backend"),
        ({"fusion": "sum"}, "no such fusion"),
        ({"backbone": "resnet"}, "did you mean resnet18"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_said_in_one_line(noisy, options, line):
    settings = {"template": load_circuit("full", 2), "backend": noisy, "num_classes": 4, "input_shape": SHAPE}
    with pytest.raises(InputError, match=line):
        HybridClassifier(**settings | options)
