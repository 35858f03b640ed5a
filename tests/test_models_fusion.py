"""Fusions: the formulas of the paper, and gradients that are finite and true everywhere."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qshield_qiskit.errors import InputError
from qshield_qiskit.models.fusion import FUSIONS, build_fusion
from qshield_qiskit.models.statistics import disagreement, entropy, seven_statistics

NUM_CLASSES = 5
MIXED = ("dynamic", "entropy", "weighted_sum", "product", "disagreement")
SURE = [
    [1e4, 0, 0, 0, 0],
    [-1e4, 1e4, 0, 0, 0],
    [0, 0, 0, 0, 0],
    [300, 300, -300, -300, 0],
    [0, 0, 0, 1e-8, 0],
]


def fusion_in_double(name):
    torch.manual_seed(3)
    fusion = build_fusion(name, NUM_CLASSES).double().eval()
    for parameter in fusion.parameters():  # away from the gate's neutral start
        torch.nn.init.normal_(parameter, std=0.3)
    return fusion


def random_logits(batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(2, batch, NUM_CLASSES, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", FUSIONS)
def test_gradients_equal_finite_differences_twice(name):
    fusion = fusion_in_double(name)
    classical, quantum = random_logits().unbind()
    classical.requires_grad_(), quantum.requires_grad_()
    assert torch.autograd.gradcheck(fusion, (classical, quantum))
    assert torch.autograd.gradgradcheck(lambda c, q: fusion(c, q).logits, (classical, quantum))


@pytest.mark.parametrize("quantum_row", SURE, ids=str)
@pytest.mark.parametrize("classical_row", SURE, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUSIONS)
def test_all_derivatives_are_finite_for_sure_and_for_uniform_outputs(name, dtype, classical_row, quantum_row):
    fusion = fusion_in_double(name).to(dtype)
    classical = torch.tensor([classical_row], dtype=dtype, requires_grad=True)
    quantum = torch.tensor([quantum_row], dtype=dtype, requires_grad=True)
    logits, weight = fusion(classical, quantum)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([2]))
    inputs = [classical, quantum, *fusion.parameters()]
    first = torch.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    first = [gradient for gradient in first if gradient is not None]
    assert all(torch.isfinite(value).all() for value in (logits, weight, *first))
    second = torch.autograd.grad(sum(g.sum() for g in first), inputs, allow_unused=True)
    assert all(torch.isfinite(gradient).all() for gradient in second if gradient is not None)


@pytest.mark.parametrize("name", MIXED)
def test_a_wrong_and_sure_prediction_still_pulls_on_its_logits(name):
    """Where both branches give the true class no probability, a clipped logarithm would have no gradient."""
    fusion = fusion_in_double(name)
    row = torch.tensor([[2e3, 0, 0, 0, 0]], dtype=torch.float64)
    classical, quantum = row.clone().requires_grad_(), row.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(fusion(classical, quantum).logits, torch.tensor([2]))
    pull = sum(torch.autograd.grad(loss, [classical, quantum]))
    assert pull[0, 2] == pytest.approx(-1.0, abs=1e-6)
    assert pull[0, 0] == pytest.approx(+1.0, abs=1e-6)


def test_product_fusion_is_the_normalised_geometric_mean():
    classical, quantum = random_logits().unbind()
    product = (classical.softmax(-1) * quantum.softmax(-1)).sqrt()
    fused = fusion_in_double("product")(classical, quantum)
    assert torch.allclose(fused.logits.exp(), product / product.sum(-1, keepdim=True), atol=1e-14)
    assert (fused.quantum_weight == 0.5).all()


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_dynamic_fusion_is_the_papers_formula(seed):
    fusion = fusion_in_double("dynamic")
    classical, quantum = random_logits(seed=seed).unbind()
    logits, weight = fusion(classical, quantum)
    alpha = torch.sigmoid(fusion.gate(seven_statistics(classical, quantum)))
    amplitude = alpha * classical.softmax(-1).sqrt() + (1 - alpha**2).sqrt() * quantum.softmax(-1).sqrt()
    expected = amplitude**2 / (amplitude**2).sum(-1, keepdim=True)
    torch.testing.assert_close(logits.exp(), expected)
    torch.testing.assert_close(weight, 1 - alpha.squeeze(-1) ** 2)


def test_the_seven_statistics_are_those_of_the_paper():
    classical, quantum = random_logits(batch=6).unbind()
    statistics = seven_statistics(classical, quantum)
    p, q = classical.softmax(-1), quantum.softmax(-1)
    for column, x in ((0, p), (3, q)):
        torch.testing.assert_close(statistics[:, column], x.std(-1, correction=0), atol=2e-3, rtol=0)
        assert torch.equal(statistics[:, column + 1], x.max(-1).values)
        kurtosis = ((x - x.mean(-1, keepdim=True)) ** 4).mean(-1) / x.var(-1, correction=0) ** 2
        torch.testing.assert_close(statistics[:, column + 2], kurtosis, atol=0, rtol=0.05)
    correlation = torch.stack([torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(p, q, strict=True)])
    torch.testing.assert_close(statistics[:, 6], correlation, atol=0.02, rtol=0)


def test_entropy_fusion_trusts_the_surer_branch():
    sure = torch.tensor([[8.0, 0, 0, 0, 0]])
    unsure = torch.zeros(1, NUM_CLASSES)
    assert entropy(unsure).item() == pytest.approx(math.log(NUM_CLASSES))
    fusion = build_fusion("entropy", NUM_CLASSES)
    assert fusion(sure, unsure).quantum_weight < 0.2
    assert fusion(unsure, sure).quantum_weight > 0.8
    assert fusion(sure, sure.roll(1, -1)).quantum_weight.item() == pytest.approx(0.5)


def test_weighted_sum_starts_as_the_mean_of_both_probabilities():
    fusion = build_fusion("weighted_sum", NUM_CLASSES).double()
    classical, quantum = random_logits().unbind()
    logits, weight = fusion(classical, quantum)
    torch.testing.assert_close(logits.exp(), (classical.softmax(-1) + quantum.softmax(-1)) / 2)
    assert torch.equal(weight, torch.full((4,), 0.5, dtype=torch.float64))


def test_weights_of_weighted_sum_differ_between_images():
    classical, quantum = random_logits().unbind()
    weight = fusion_in_double("weighted_sum")(classical, quantum).quantum_weight
    assert weight.std() > 1e-3


def test_disagreement_is_the_jensen_shannon_divergence():
    classical, quantum = random_logits(batch=20).unbind()
    p, q = classical.softmax(-1), quantum.softmax(-1)
    mean = (p + q) / 2
    expected = ((p * (p / mean).log()).sum(-1) + (q * (q / mean).log()).sum(-1)) / 2
    torch.testing.assert_close(disagreement(classical, quantum), expected)
    torch.testing.assert_close(disagreement(quantum, classical), expected)
    assert disagreement(classical, classical + 3).abs().max() < 1e-15
    apart = torch.tensor([[1e4, 0.0, 0]]), torch.tensor([[0.0, 1e4, 0]])
    assert disagreement(*apart).item() == pytest.approx(math.log(2))


def test_disagreement_fusion_starts_as_the_product():
    logits = random_logits()
    fused = build_fusion("disagreement", NUM_CLASSES).double()(*logits)
    torch.testing.assert_close(fused.logits, build_fusion("product", NUM_CLASSES)(*logits).logits)
    assert (fused.quantum_weight == 0.5).all()


@pytest.mark.parametrize("moved", ["classical", "quantum", "surer"])
def test_disagreement_fusion_learns_to_distrust_the_branch_that_attacks_move(moved):
    """Half of the images are attacked: one branch, or the one that is surer of itself, is sure of another class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(NUM_CLASSES, (400,), generator=generator)
    scores = torch.nn.functional.one_hot(labels, NUM_CLASSES).float()
    logits = 3 * scores + 0.3 * torch.randn(2, 400, NUM_CLASSES, generator=generator)
    attacked = torch.arange(400) < 200
    victim = (
        torch.randint(2, (400,), generator=generator)
        if moved == "surer"
        else torch.full((400,), int(moved == "quantum"))
    )
    for branch in (0, 1):
        hit = attacked & (victim == branch)
        logits[branch, hit] = 5 * scores[hit].roll(1, -1)
    learnt, product = build_fusion("disagreement", NUM_CLASSES), build_fusion("product", NUM_CLASSES)
    adam = torch.optim.Adam(learnt.parameters(), lr=0.1)
    for _ in range(150):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(learnt(*logits).logits, labels).backward()
        adam.step()

    def right(fusion, chosen):
        return (fusion(*logits[:, chosen]).logits.argmax(-1) == labels[chosen]).float().mean()

    assert right(product, attacked) < 0.1
    assert right(learnt, attacked) > 0.95
    assert right(learnt, ~attacked) > 0.99
    share = learnt(*logits).quantum_weight
    trust = torch.where(victim == 1, share, 1 - share)  # in the branch that was moved
    assert trust[attacked].mean() < 0.2


@pytest.mark.parametrize(("name", "chosen", "weight"), [("quantum_only", 1, 1.0), ("classical_only", 0, 0.0)])
def test_one_branch_alone(name, chosen, weight):
    logits = random_logits()
    fused = build_fusion(name, NUM_CLASSES)(*logits)
    assert torch.equal(fused.logits, logits[chosen])
    assert torch.equal(fused.quantum_weight, torch.full((4,), weight, dtype=torch.float64))


@pytest.mark.parametrize("name", MIXED)
def test_fused_logits_are_log_probabilities_and_weights_are_shares(name):
    fused = fusion_in_double(name)(*random_logits(batch=50))
    torch.testing.assert_close(fused.logits.exp().sum(-1), torch.ones(50, dtype=torch.float64))
    assert ((fused.quantum_weight > 0) & (fused.quantum_weight < 1)).all()


def test_an_unknown_fusion_names_the_nearest():
    with pytest.raises(InputError, match="did you mean dynamic"):
        build_fusion("dinamic", NUM_CLASSES)
