"""Certificates: no sample, no difference quotient and no attack may ever beat one."""

from __future__ import annotations

import copy
import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from classifiers import Jittered, images_and_labels, trained_cnn, trained_hybrid, training_images
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import DensityMatrix
from qiskit_aer.noise import NoiseModel, depolarizing_error
from scipy.stats import binomtest
from scipy.stats import norm as normal
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qshield_qiskit import HybridClassifier, InputError, load_backend, load_circuit
from qshield_qiskit.config import CertificateSettings
from qshield_qiskit.quantum.channels import CHANNELS
from qshield_qiskit.quantum.layer import QuantumLayer
from qshield_qiskit.quantum.lipschitz import operators
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.quantum.simulator import ExactSimulator
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.certificates import CERTIFICATES, DoesNotApplyError, certify
from qshield_qiskit.robustness.certificates.affine_form import AffineForm
from qshield_qiskit.robustness.certificates.ball import Ball
from qshield_qiskit.robustness.certificates.circuit import bounded_sums, sum_bounds
from qshield_qiskit.robustness.certificates.margins import MarginBounds
from qshield_qiskit.robustness.certificates.quantum_noise import (
    Privacy,
    _state_moves,
    announced,
    depolarising_share,
    ratio_beyond,
)
from qshield_qiskit.robustness.certificates.smoothing import SmoothedClassifier

DIGIT = (1, 8, 8)
FEW = 2
MIXTURES = ("dynamic", "entropy", "weighted_sum")


def hybrid(**changes) -> HybridClassifier:
    """An untrained hybrid of three classes whose circuit has a say: its angles are spread, its readout is steep."""
    torch.manual_seed(changes.pop("seed", 0))
    circuit = {"num_qubits": 2, "reps": 2, **changes.pop("circuit", {})}
    backend = load_backend(changes.pop("backend", "aer_noisy"), circuit["num_qubits"])
    model = HybridClassifier(
        load_circuit("linear", **circuit), backend, **{"num_classes": 3, "input_shape": DIGIT, **changes}
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.normal_(module.running_mean, std=0.1)
    with torch.no_grad():
        if model.template is not None and isinstance(model.projection, nn.Sequential):
            model.projection[1].weight.mul_(8)
    return model.eval()


def changed(image: Tensor, norm: str, radius: float, count: int, seed: int) -> Tensor:
    """Images at most so far from one, most of them as far as that."""
    generator = torch.Generator().manual_seed(seed)
    change = torch.randn(count, *image.shape, generator=generator, dtype=torch.float64)
    change = change.sign() if norm == "linf" else change / change.flatten(1).norm(dim=1)[:, None, None, None]
    return (image + radius * change).clamp(0, 1)


@lru_cache
def trained_quantum_only(p: float = 0.05) -> HybridClassifier:
    """A circuit of two qubits that alone tells three digits apart, under depolarising noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HybridClassifier(
            load_circuit("linear", num_qubits=2, reps=2),
            load_backend("paper_noise", num_qubits=2, channel="depolarizing", p=p),
            num_classes=3,
            input_shape=DIGIT,
            fusion="quantum_only",
        )
        images, labels = training_images()
        images, labels = images[labels < 3], labels[labels < 3]
        adam = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(6):
            for batch in torch.randperm(len(labels)).split(64):
                loss = cross_entropy(model(images[batch]), labels[batch])
                adam.zero_grad()
                loss.backward()
                adam.step()
    return model.eval()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fusion": "quantum_only"},
        {"fusion": "dynamic"},
        {"fusion": "entropy", "seed": 9},  # whose branches agree
        {"fusion": "weighted_sum"},
        {"fusion": "classical_only"},
        {"branch": "none"},
        {"branch": "control"},
        {"branch": "control", "fusion": "quantum_only"},
        {"features": "logits", "fusion": "quantum_only"},
        {"readout": "basis_states"},
        {"readout": "basis_states", "fusion": "quantum_only"},
        {"readout": "basis_states", "fusion": "entropy"},
        {"backend": "aer_ideal", "fusion": "quantum_only"},
        {"circuit": {"readout": "z"}, "fusion": "quantum_only"},
        {"circuit": {"encoding": "zz"}, "fusion": "quantum_only"},
        {"circuit": {"encoding": "amplitude"}, "fusion": "quantum_only"},
        {"circuit": {"reupload": True}, "fusion": "quantum_only"},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())) or "product",
)
def test_leads_are_never_below_their_bounds(changes, norm):
    model = hybrid(**changes)
    bounds = MarginBounds(model, 64)
    image = images_and_labels(1)[0][0].double()
    whole, radius = bounds.model, 0.004 if norm == "linf" else 0.03
    logits = whole(image[None])[0]
    label = int(logits.argmax())
    others = [k for k in range(3) if k != label]
    for size in (radius / 10, radius):
        leads = bounds.leads(Ball(image, norm, size), label)
        found = whole(changed(image, norm, size, 60, seed=1))
        if changes.get("fusion") in MIXTURES:  # of these only the sign is bounded
            assert leads.transfer.min() > 0 or size == radius
            if leads.transfer.min() > 0:
                assert (found.argmax(1) == label).all()
        else:
            least = (found[:, [label]] - found[:, others]).amin(0)
            assert (leads.transfer <= least + 1e-9).all()
        assert (leads.generators <= leads.transfer + 1e-9).all()
        assert leads.transfer.isfinite().all()


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [("quantum_only", [-2, 4]), ("product", [-0.5, 3.5]), *((fusion, [-2, 3]) for fusion in MIXTURES)],
)
def test_a_class_leads_a_mixture_by_no_more_than_in_the_branch_where_it_leads_less(fusion, expected):
    bounds = MarginBounds(hybrid(fusion=fusion).double(), 0)

    def always(*values: float) -> AffineForm:
        constant = torch.tensor(values).double()
        point = Ball(torch.zeros(1, 1, len(values)), "linf", 0.0)
        return AffineForm.of_images(point).flatten().scaled(torch.zeros_like(constant), constant)

    classical, outcomes = always(1, 3), always(0.1, 0.1 * math.exp(2), 0.1 * math.exp(-4))
    expected = torch.tensor(expected).double()
    torch.testing.assert_close(bounds._fused(classical, always(-2, 4)), expected)
    torch.testing.assert_close(bounds._in_logarithms(outcomes, classical, 0), expected)
    single = MarginBounds(hybrid(fusion=fusion), 0)._in_logarithms(outcomes, classical, 0)
    assert (single < expected + 1e-9).all() and (single < expected).any(), "it rounds its probabilities"
    torch.testing.assert_close(single, expected, rtol=0, atol=0.01)


@given(st.integers(0, 10**6), st.floats(1e-4, 0.02), st.sampled_from(["linf", "l2"]))
@settings(max_examples=6)
def test_no_difference_quotient_and_no_gradient_beats_the_bound_of_a_random_hybrid(seed, radius, norm):
    model = hybrid(seed=seed, backend="paper_noise", fusion="quantum_only" if seed % 2 else "product")
    bounds = MarginBounds(model, 32)
    image = torch.rand(DIGIT, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits = bounds.model(image[None])[0]
    label = int(logits.argmax())
    others = [k for k in range(3) if k != label]
    leads = bounds.leads(Ball(image, norm, radius), label)
    start = (logits[label] - logits[others]).detach()
    fall = (start - leads.transfer) / radius  # a Lipschitz constant of the leads from the centre
    pixels = image[None].clone().requires_grad_()
    values = bounds.model(pixels)[0]
    for k, other in enumerate(others):
        (gradient,) = torch.autograd.grad(values[label] - values[other], pixels, retain_graph=True)
        step = gradient.sign() if norm == "linf" else gradient / gradient.norm()
        size = gradient.abs().sum() if norm == "linf" else gradient.norm()
        assert fall[k] >= 0.98 * size  # no pixel lies on its bound here
        after = bounds.model((image - radius * step[0]).clamp(0, 1)[None])[0]
        assert fall[k] + 1e-9 >= (start[k] - (after[label] - after[other])) / radius


@pytest.mark.parametrize("encoding", ["enhanced_angle", "zz", "amplitude"])
@pytest.mark.parametrize("radius", [1e-4, 0.02, 0.1, 0.4])
def test_sums_of_outcomes_stay_within_all_three_of_their_bounds(encoding, radius):
    """The angles are 2 pi x - pi of the pixels x, so a ball of images is a box of angles, corners and all."""
    template = load_circuit("full", num_qubits=2, reps=2, encoding=encoding)
    torch.manual_seed(0)
    layer = QuantumLayer(template, load_backend("paper_noise", num_qubits=2)).double()
    rows, offsets = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    centre = 0.3 + 0.4 * torch.rand(1, 1, template.num_inputs, dtype=torch.float64)
    turn = torch.tensor(2 * math.pi, dtype=torch.float64)
    angles = AffineForm.of_images(Ball(centre, "linf", radius)).flatten().scaled(turn, -turn / 2)
    forms = bounded_sums(layer, rows, offsets, sum_bounds(layer, rows), angles)
    pixels = changed(centre, "linf", radius, 400, seed=2).flatten(1)
    with torch.no_grad():
        values = layer(turn * pixels - turn / 2) @ rows.T + offsets
    for form in forms:
        low, high = form.bounds()
        assert (values >= low - 1e-9).all()
        assert (values <= high + 1e-9).all()
    widths = torch.stack([high - low for low, high in (form.bounds() for form in forms)])  # (3, R)
    seen = values.amax(0) - values.amin(0)
    assert (widths[1] <= widths[2] + 1e-12).all()
    if radius < 0.001:  # the tangent is the best, and nearly exact
        assert (widths[0] < widths[1]).all()
        assert (widths[0] < 1.5 * seen).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_gradient_is_what_a_small_radius_costs(norm):
    """For a radius of next to nothing the bound is the gradient's norm: hardly anything is lost on the way."""
    bounds = MarginBounds(trained_hybrid(), 0)
    image = 0.05 + 0.9 * images_and_labels(1)[0][0].double()
    pixels = image[None].clone().requires_grad_()
    logits = bounds.model(pixels)[0]
    label = int(logits.argmax())
    others = [k for k in range(10) if k != label]
    leads = logits[label] - logits[others]
    fall = (leads - bounds.leads(Ball(image, norm, 1e-6), label).transfer) / 1e-6
    gradients = torch.stack(
        [torch.autograd.grad(lead, pixels, retain_graph=True)[0].flatten() for lead in leads]
    )
    sizes = gradients.abs().sum(1) if norm == "linf" else gradients.norm(dim=1)
    assert (fall >= sizes).all()
    assert (fall <= 1.1 * sizes).all()


@pytest.mark.parametrize("name", ["lipschitz", "noise"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_attack_beats_a_certificate(name, norm):
    model = trained_hybrid() if name == "lipschitz" else trained_quantum_only()
    images, labels = images_and_labels(FEW, 10 if name == "lipschitz" else 3)
    certificates = certify(model, images, labels, name, norm=norm, symbols=16)
    assert [c.norm for c in certificates] == [norm] * len(certificates)
    best = certificates[0]
    with torch.no_grad():
        assert torch.equal(best.predicted, model(images).argmax(1))
    assert (best.radii[best.predicted == labels] > 0).all()
    for image, label, radius in zip(images, labels, best.radii.tolist(), strict=True):
        if radius == 0:
            continue
        for method, options in (
            ("pgd", {"steps": 15}),
            ("square" if norm == "linf" else "square_l2", {"proposals": 40}),
        ):
            data = image[None], label[None]
            outcome = attack(model, *data, method, epsilon=radius, norm=norm, parameters=options)
            assert not outcome.fooled.any()
    for other in certificates[1:]:  # the paper's bound, from the generators alone
        assert (other.radii <= best.radii + 1e-12).all()
        assert (other.radii < best.radii).any()


@pytest.mark.parametrize("name", ["lipschitz", "noise"])
def test_where_nothing_is_right_nothing_is_certified(name):
    model = trained_hybrid() if name == "lipschitz" else trained_quantum_only()
    images, _ = images_and_labels(2, 10 if name == "lipschitz" else 3)
    wrong = (model(images).argmax(1) + 1) % 3
    for found in certify(model, images, wrong, name):
        assert found.radii.tolist() == [0, 0]


def test_a_linear_models_radius_is_its_margin_over_its_weights():
    model = hybrid(branch="none", input_shape=(1, 4, 4), backbone="dnn")
    model.backbone.layers = nn.Sequential(nn.Flatten())
    model.head = nn.Linear(16, 3)
    image = 0.4 + 0.2 * torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    logits = model(image)[0]
    label = int(logits.argmax())
    others = [k for k in range(3) if k != label]
    rows = model.head.weight[label] - model.head.weight[others]
    for norm, sizes in (("linf", rows.abs().sum(1)), ("l2", rows.norm(dim=1))):
        truth = float(((logits[label] - logits[others]) / sizes).min())
        (found,) = certify(model, image, torch.tensor([label]), "lipschitz", norm=norm)
        assert truth / 1.08 < float(found.radii) < truth
        assert found.figures["bound"] == "classical"


class Halfspace(nn.Module):
    """Two classes on either side of the middle of the first pixel; the smoothed classifier is known exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, images: Tensor) -> Tensor:
        lead = self.scale * (images[:, 0, 0, 0] - 0.5)
        return torch.stack([-lead, lead], dim=1)


def test_smoothing_a_halfspace_finds_the_distance_to_it():
    images = torch.full((4, 1, 2, 2), 0.5)
    images[:, 0, 0, 0] = torch.tensor([0.9, 0.7, 0.5, 0.2])
    labels = torch.tensor([1, 1, 1, 0])
    (found,) = certify(Halfspace(), images, labels, "smoothing", sigma=0.25, n=20_000, batch_size=4096)
    truth = (images[:, 0, 0, 0] - 0.5).abs().double()
    assert found.norm == "l2"
    assert (found.radii <= truth).all()
    assert torch.allclose(found.radii, truth, atol=0.02)
    assert found.predicted.tolist() == [1, 1, -1, 0]  # in the middle it abstains
    again = certify(Halfspace(), images, labels, "smoothing", sigma=0.25, n=20_000, batch_size=4096)[0]
    assert torch.equal(found.radii, again.radii)
    other = certify(Halfspace(), images, labels, "smoothing", sigma=0.25, n=20_000, batch_size=4096, seed=1)[
        0
    ]
    assert not torch.equal(found.radii, other.radii)


class Wavering(nn.Module):
    """The first class for all images of a batch but every tenth."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor) -> Tensor:
        tenth = torch.arange(len(images)) % 10 == 9
        return self.scale * torch.stack([~tenth, tenth], dim=1).float()


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.3])
def test_the_radius_of_smoothing_is_clopper_and_pearsons(alpha):
    image, label = torch.full((1, 1, 2, 2), 0.5), torch.tensor([0])
    settings_ = {"sigma": 0.5, "n": 200, "n0": 50, "batch_size": 100}
    (found,) = certify(Wavering(), image, label, "smoothing", alpha=alpha, **settings_)
    least = binomtest(180, 200, alternative="greater").proportion_ci(1 - alpha).low
    assert float(found.radii) == pytest.approx(0.5 * normal.ppf(least))


def test_no_attack_beats_smoothing():
    """The attack is on the smoothed classifier: on the mean prediction under its noise."""
    model, sigma = trained_cnn(), 0.25
    images, labels = images_and_labels(5)
    before = torch.get_rng_state(), model.training
    (found,) = certify(model, images, labels, "smoothing", sigma=sigma, n=1000)
    assert torch.equal(before[0], torch.get_rng_state()) and model.training == before[1]
    right = found.predicted == labels
    assert right.sum() > 2

    smoothed = SmoothedClassifier(model, DIGIT, 10, CertificateSettings(sigma=sigma, n0=1000))
    for image, label, radius in zip(images[right], labels[right], found.radii[right].tolist(), strict=True):
        outcome = attack(
            Jittered(model, sigma),
            image[None],
            label[None],
            "pgd",
            epsilon=radius,
            norm="l2",
            parameters={"steps": 10},
            eot=8,
        )
        counts = smoothed._prediction_counts(outcome.examples[0].numpy(), n=1000)
        assert counts.argmax() == int(label)


@pytest.mark.parametrize("q", [0.05, 0.4])
@pytest.mark.parametrize("num_qubits", [1, 2, 3])
def test_depolarising_noise_at_the_end_is_read_off_exactly(num_qubits, q):
    """E_o = (1 - q) |o><o| + q I / D, so its share is q and Du et al.'s formula follows."""
    size = 2**num_qubits
    effects = torch.eye(size).double()[:, :, None] * torch.eye(size).double()[:, None, :]
    effects = (1 - q) * effects + q * torch.eye(size).double() / size
    paulis = torch.from_numpy(operators(torch.eye(4**num_qubits).double().numpy(), num_qubits))
    coefficients = torch.einsum("oij,pji->op", effects.to(paulis.dtype), paulis).real / size
    assert depolarising_share(coefficients, num_qubits) == pytest.approx(q)
    privacy = Privacy(q, size)
    assert privacy.distance((1 + size * (1 - q) * 0.01 / q) ** 2) == pytest.approx(0.01)
    assert privacy.distance(1.0) == privacy.distance(0.5) == 0
    assert Privacy(1.0, size).distance(1.1) == math.inf


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_outcomes_of_close_states_are_as_private_as_promised(channel):
    template = load_circuit("full", num_qubits=2, reps=2)
    network = ExactQNN(template, load_backend("paper_noise", num_qubits=2, channel=channel, p=0.2))
    weights = torch.linspace(-2, 2, template.num_weights, dtype=torch.float64)
    share = depolarising_share(network.simulator.evolved_readout(weights), 2)
    assert 0 <= share < 1
    assert (share > 0.01) == (channel in {"depolarizing", "mixed"})
    if share < 1e-6:
        return
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(200, 6, generator=generator, dtype=torch.float64) * 2 - 1) * math.pi
    moved = x + 0.05 * torch.randn(200, 6, generator=generator, dtype=torch.float64)
    ratios = network.evaluate(moved, weights) / network.evaluate(x, weights)
    distance = (moved - x).abs().sum(1) / 2
    promised = (4 * (1 - share) / share * distance.clamp(max=1.0)).log1p()
    assert (ratios.log() <= promised[:, None]).all()


@pytest.mark.parametrize("encoding", ["angle", "enhanced_angle", "zz", "amplitude"])
def test_encoded_states_move_no_farther_in_trace_distance_than_their_angles_let_them(encoding):
    template = load_circuit("full", num_qubits=2, reps=1, encoding=encoding)
    weights = np.linspace(-2, 2, template.num_weights)
    network = ExactQNN(template, load_backend("aer_ideal", num_qubits=2))
    moves = _state_moves(network.simulator, torch.from_numpy(weights))
    generator = np.random.default_rng(0)
    for size in (1e-3, 0.3, 3.0):
        x = generator.uniform(-math.pi, math.pi, template.num_inputs)
        moved = np.clip(x + size * generator.standard_normal(template.num_inputs), -math.pi, math.pi)
        first, second = (
            DensityMatrix(
                template.circuit.assign_parameters(
                    dict(zip([*template.inputs, *template.weights], [*angles, *weights], strict=True))
                )
            ).data
            for angles in (x, moved)
        )
        distance = np.linalg.norm(first - second, "nuc") / 2
        assert 0 < distance <= moves @ np.abs(moved - x) + 1e-9


@pytest.mark.parametrize("q", [0.0, 0.1, 0.6])
def test_a_rotation_moves_a_state_by_half_its_angle_and_less_before_noise(q):
    """The trace distance is sin(delta / 2), times 1 - q if a depolarising channel of strength q is still to come."""
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(1)
    circuit.rx(x[0], 0)
    circuit.ry(x[1], 0)
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(q, 1), "rx")
    moves = _state_moves(ExactSimulator(circuit, x, [], None, noise), torch.zeros(0))
    assert moves == pytest.approx([(1 - q) / 2, 1 / 2])


def test_announcing_a_class_changes_no_difference_between_classes():
    generator = torch.Generator().manual_seed(0)
    weight, bias = (
        torch.randn(4, 8, generator=generator).double(),
        torch.randn(4, generator=generator).double(),
    )
    chances, worth = announced(weight, bias)
    assert (chances >= 0).all()
    assert (chances.sum(0) <= 1 + 1e-12).all()
    outcomes = torch.rand(50, 8, generator=generator).double()
    outcomes = outcomes / outcomes.sum(1, keepdim=True)
    scores = outcomes @ weight.T + bias
    ratio = (scores[:, :1] - scores[:, 1:]) / (outcomes @ (chances[:1] - chances[1:]).T)
    assert torch.allclose(ratio, torch.full_like(ratio, worth))


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.just(0.0) | st.floats(1e-9, 0.5))
def test_the_ratio_beyond_leaves_the_room_that_was_asked_for(first, second, room):
    factor = math.sqrt(ratio_beyond(first, second, room))
    assert first / factor - factor * second == pytest.approx(room, abs=1e-9)
    assert ratio_beyond(first, 0.0, 0.1) == pytest.approx((first / 0.1) ** 2)


def near_boundaries(model: nn.Module, lead: float, count: int = 20) -> Tensor:
    """Images (B, C, H, W) between two others at which a class leads by so many logits in exact arithmetic."""
    exact, found = copy.deepcopy(model).double(), []
    images = images_and_labels(2 * count)[0].double()
    with torch.no_grad():
        for first, second in zip(images[::2], images[1::2], strict=True):
            label = int(exact(first[None]).argmax())
            low, high = 0.0, 1.0
            for _ in range(40):
                middle = (low + high) / 2
                logits = exact(torch.lerp(first, second, middle)[None])[0]
                leads = logits[label] - logits.index_fill(0, torch.tensor(label), -torch.inf).max() > lead
                low, high = (middle, high) if leads else (low, middle)
            if low < 1 - 1e-6:
                found.append(torch.lerp(first, second, low).float())
    return torch.stack(found)


@pytest.mark.parametrize(
    ("fusion", "lead", "name"),
    [
        ("classical_only", 0.01, "lipschitz"),
        ("quantum_only", 0.003, "lipschitz"),
        ("quantum_only", 0.003, "noise"),
    ],
)
def test_large_logits_are_given_the_room_that_they_are_rounded_by(fusion, lead, name):
    model = hybrid(fusion=fusion, backend="paper_noise", backbone="dnn")
    last = model.head if fusion == "classical_only" else model.readout
    with torch.no_grad():
        last.bias -= model(images_and_labels(40)[0]).mean(0)  # so that each class is named by some
        last.bias += 1e5
    images = near_boundaries(model, lead)
    with torch.no_grad():
        labels = model(images).argmax(1)
    certified = certify(model, images, labels, name, norm="linf", symbols=0)[0]
    assert len(images) > 5
    for image, label, radius in zip(images, labels, certified.radii.tolist(), strict=True):
        inside = changed(image, "linf", 0.99 * radius, 60, seed=0).float()
        with torch.no_grad():
            assert (model(inside).argmax(1) == label).all()


@pytest.mark.parametrize("name", ["lipschitz", "noise"])
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_a_model_of_less_than_single_precision_is_not_certified_by_a_copy_of_more(name, precision):
    images, labels = images_and_labels(2, 3)
    model = hybrid(fusion="quantum_only").to(precision)
    with pytest.raises(DoesNotApplyError, match=rf"{str(precision)[6:]}.*model\.float\(\)"):
        certify(model, images, labels, name)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("noise", {"branch": "none"}, "no circuit"),
        ("noise", {"branch": "control"}, "no circuit"),
        ("noise", {}, "classical branch"),
        ("noise", {"fusion": "quantum_only", "backend": "aer_ideal"}, "no depolarising part"),
        ("noise", {"fusion": "quantum_only", "circuit": {"readout": "z"}}, "observables"),
        ("lipschitz", {"projection": "random_expansion", "features": "logits"}, "random projection"),
        (
            "lipschitz",
            {"backend": "aer_ideal", "circuit": {"num_qubits": 9, "encoding": "angle"}},
            "9 qubits",
        ),
        (
            "noise",
            {"projection": "random_expansion", "features": "logits", "fusion": "quantum_only"},
            "random",
        ),
    ],
)
def test_what_a_certificate_cannot_say_it_says_in_one_line(name, changes, says):
    images, labels = images_and_labels(2, 3)
    with pytest.raises(DoesNotApplyError, match=says) as reason:
        certify(hybrid(**changes), images, labels, name)
    assert "\n" not in str(reason.value)


def test_other_models_and_wrong_settings():
    images, labels = images_and_labels(2)
    with pytest.raises(DoesNotApplyError, match="Sequential"):
        certify(trained_cnn(), images, labels, "lipschitz")
    twin = hybrid(branch="none", backbone="dnn", num_classes=10)
    few = {"n": 20, "n0": 10, "symbols": 0}
    together = certify(twin, images, labels, "smoothing, lipschitz", **few)
    apart = [
        each for name in ("smoothing", "lipschitz") for each in certify(twin, images, labels, name, **few)
    ]
    assert [each.norm for each in together] == ["l2", "linf", "l2"]
    assert all(torch.equal(one.radii, other.radii) for one, other in zip(together, apart, strict=True))
    for name, settings_, says in (
        ("smoothng", {}, "did you mean smoothing"),
        ("smoothing,noise", {"sigma": 0}, "^certificate smoothing,noise: sigma=0: expected more than 0.0$"),
        ("smoothing", {"symbol": 0}, "no such setting: 'symbol'; did you mean symbols"),
        ("smoothing", {"alpha": 0.7}, "alpha"),
        ("smoothing", {"radii": ["1/0"]}, "radii"),
    ):
        with pytest.raises(InputError, match=says) as refusal:
            certify(trained_cnn(), images, labels, name, **settings_)
        assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="divide by 255"):
        certify(trained_cnn(), 255 * images, labels, "smoothing")
    assert set(CERTIFICATES) == {"smoothing", "lipschitz", "noise"}
