"""Training that defends: closed forms, the ball, resumption, and models that resist where others do not."""

import textwrap
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from trainings import Interrupting, make, run_alone, same, some

from qshield_qiskit.config import DefenceSettings, load_settings
from qshield_qiskit.data import load_dataset
from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.training import history
from qshield_qiskit.training.crafting import ascend, frozen, random_point
from qshield_qiskit.training.defences import DEFENCES, build_defence
from qshield_qiskit.training.defences.trades import divergence
from qshield_qiskit.training.fitting import fit
from qshield_qiskit.training.history import HISTORY
from qshield_qiskit.training.task import ClassifierTask

CRAFTING = ["pgd", "trades", "fast", "free"]


def defence(name, **options):
    built = build_defence(DefenceSettings(**{"name": name, "epsilon": 0.1} | options), seed=0)
    built.begin_epoch(0, 0, torch.device("cpu"))
    return built


def linear(num_pixels=16, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(num_pixels, 2)).double()


def test_on_a_linear_model_pgd_finds_the_known_maximum():
    """The loss of class 0 rises with (w_1 - w_0) x: each pixel moves by epsilon along that sign."""
    model = linear()
    images = 0.3 + 0.4 * torch.rand(8, 1, 4, 4, dtype=torch.float64)  # far from 0 and 1
    labels = torch.arange(8) % 2
    weight = model[1].weight
    towards = torch.where(labels[:, None] == 0, weight[1] - weight[0], weight[0] - weight[1])
    optimum = images + 0.1 * towards.sign().reshape(images.shape)
    for name, steps in (("pgd", 4), ("pgd", 1), ("fast", 1)):
        shown = defence(name, steps=steps, random_start=False).shown(model, images, labels, 0.1)
        torch.testing.assert_close(shown, optimum.detach())
    random_start = defence("pgd", steps=10).shown(model, images, labels, 0.1)
    torch.testing.assert_close(random_start, optimum.detach())


@settings(max_examples=50)
@given(
    st.integers(0, 2**16),
    st.floats(0.001, 1),
    st.floats(0.001, 2),
    st.integers(1, 5),
    st.sampled_from(CRAFTING),
)
def test_perturbations_stay_in_the_ball_and_in_the_box(seed, epsilon, step_size, steps, name):
    torch.manual_seed(seed)
    images, labels = torch.rand(5, 1, 4, 4), torch.randint(2, (5,))
    images[0], images[1] = 0, 1
    model = linear(seed=seed).float()
    built = defence(name, epsilon=epsilon, step_size=step_size, steps=steps)
    for _ in range(3):
        shown = built.shown(model, images, labels, epsilon)
        perturbed = shown[-5:]
        assert perturbed.min() >= 0 and perturbed.max() <= 1
        assert (perturbed - images).abs().max() <= epsilon + 1e-6
        if name == "free":
            cross_entropy(model(shown), labels).backward()
            built.after_backward()


def test_a_random_start_fills_the_ball_evenly():
    images = torch.full((1, 1, 100, 100), 0.5)
    noise = (random_point(images, 0.2, torch.Generator().manual_seed(0)) - images).flatten() / 0.2
    assert noise.abs().max() <= 1
    assert noise.mean().abs() < 0.02
    assert noise.var() == pytest.approx(1 / 3, rel=0.03)


def test_trades_without_a_ball_is_plain_training():
    model = linear()
    images, labels = torch.rand(6, 1, 4, 4, dtype=torch.float64), torch.arange(6) % 2
    trades = defence("trades")
    shown = trades.shown(model, images, labels, 0.0)
    torch.testing.assert_close(shown, torch.cat([images, images]))
    torch.testing.assert_close(trades.loss(model(shown), labels), cross_entropy(model(images), labels))


def test_trades_weighs_the_divergence_by_beta():
    logits = torch.randn(8, 3, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0])
    clean, perturbed = logits[:4].softmax(-1), logits[4:].softmax(-1)
    divergences = (clean * (clean / perturbed).log()).sum(-1)
    torch.testing.assert_close(divergence(logits[:4], logits[4:]), divergences)
    for beta in (0.0, 1.0, 6.0):
        expected = -clean[torch.arange(4), labels].log().mean() + beta * divergences.mean()
        torch.testing.assert_close(defence("trades", beta=beta).loss(logits, labels), expected)


def test_free_goes_on_from_batch_to_batch():
    model = linear()
    images, labels = torch.full((4, 1, 4, 4), 0.5, dtype=torch.float64), torch.arange(4) % 2
    free = defence("free", random_start=False, step_size=0.03)
    towards = None
    for step, size in enumerate((4, 4, 3, 3)):  # batches of an epoch differ by an image
        shown = free.shown(model, images[:size], labels[:size], 0.1)
        if step:
            moved = (shown - images[:size]).detach()
            torch.testing.assert_close(moved, min(0.03 * step, 0.1) * towards[:size])
        cross_entropy(model(shown), labels[:size]).backward()
        towards = shown.grad.sign()
        free.after_backward()


def test_the_radius_warms_up_linearly():
    warming = defence("pgd", warmup_epochs=2)
    assert [warming.radius(epochs) for epochs in (0.5, 1, 2, 3)] == pytest.approx([0.025, 0.05, 0.1, 0.1])
    assert defence("pgd").radius(0.01) == 0.1


def test_a_model_is_frozen_for_a_while_only():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.Dropout())
    model[1].bias.requires_grad_(False)
    model[2].eval()
    with frozen(model):
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model[0].training and not model[2].training
    assert model[1].weight.requires_grad and not model[1].bias.requires_grad


def test_crafting_leaves_batch_norm_alone_and_fuses_the_circuit(digits):
    model = make(digits, backbone="small_cnn").train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    images, labels = digits.train.images[:8], digits.train.labels[:8]
    prepared = []
    compiled = model.layer.neural_network.simulator._compile(torch.float32, torch.device("cpu"))
    evolve = compiled._prepare
    compiled._prepare = lambda weights: prepared.append(1) or evolve(weights)
    defence("pgd", steps=5).shown(model, images, labels, 0.1)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert len(prepared) == 1  # for five steps


def test_crafting_follows_both_branches(digits):
    """Without the gradient of either branch the perturbation is another one."""
    model = make(digits, backbone="small_cnn").eval()
    images, labels = digits.train.images[:8], digits.train.labels[:8]

    def gradient(cut):
        hooks = []
        if cut == "quantum":
            hooks.append(model.readout.register_forward_hook(lambda module, inputs, output: output.detach()))
        if cut == "classical":
            hooks.append(model.head.register_forward_hook(lambda module, inputs, output: output.detach()))
        found = images.clone().requires_grad_()
        with frozen(model):
            cross_entropy(model(found), labels).backward()
        for hook in hooks:
            hook.remove()
        return found.grad

    both, classical, quantum = gradient(None), gradient("quantum"), gradient("classical")
    assert classical.abs().max() > 0 and quantum.abs().max() > 0
    torch.testing.assert_close(both, classical + quantum, rtol=1e-4, atol=1e-7)
    shown = defence("pgd", steps=1, step_size=0.01, random_start=False).shown(model, images, labels, 0.1)
    stepped = (images + 0.01 * both.sign()).clamp(0, 1)
    assert (shown - stepped).abs().max() < 1e-6


@pytest.mark.parametrize("name", [name for name in DEFENCES if name != "none"])
@pytest.mark.parametrize(
    "options",
    [{}, {"branch": "control"}, {"branch": "none"}, {"fusion": "quantum_only"}],
    ids=["hybrid", "control", "twin", "quantum_only"],
)
def test_every_model_takes_every_defence(digits, tmp_path, name, options):
    model = make(digits, **options)
    settings = some(epochs=1, defence={"name": name, "epsilon": 0.1, "steps": 2, "replays": 2})
    (row,) = fit(model, digits, settings, tmp_path, seed=0)
    if name in CRAFTING:
        assert 0 <= row.validation_accuracy_attacked <= row.validation_accuracy <= 1
    else:
        assert row.validation_accuracy_attacked is None


@pytest.mark.parametrize("name", [name for name in DEFENCES if name != "none"])
def test_a_stopped_defence_goes_on_to_the_same_weights_to_the_bit(digits, tmp_path, name, ctrl_c):
    whole, stopped, resumed = make(digits), make(digits), make(digits, seed=99)
    settings = some(
        epochs=3, defence={"name": name, "epsilon": 0.1, "steps": 2, "replays": 2, "warmup_epochs": 2}
    )
    rows = fit(whole, digits, settings, tmp_path / "whole", seed=3)
    after = 14 if name == "free" else 7  # its epochs are as many times longer as it replays
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupting.after(stopped, steps=after), digits, settings, tmp_path / "stopped", seed=3)
    assert len(history.read(tmp_path / "stopped" / HISTORY)) == 1
    torch.manual_seed(123)
    rows_too = fit(resumed, digits, settings, tmp_path / "stopped", seed=3, resume=True)
    assert same(whole, resumed)
    assert [row[:4] + row[5:] for row in rows] == [row[:4] + row[5:] for row in rows_too]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Train by a defence, then attack: the share of the images that PGD fools."""
    dataset = load_dataset("digits", train_images=600, test_images=100, seed=0)
    test = dataset.test

    @cache
    def asr(name):
        model = make(dataset, backbone="small_cnn")
        epochs = 2 if name == "free" else 6
        settings = some(epochs=epochs, learning_rate=5e-3, defence={"name": name, "epsilon": 0.1})
        fit(model, dataset, settings, tmp_path_factory.mktemp(name), seed=0)
        outcome = attack(model, test.images, test.labels, "pgd", epsilon=0.1, parameters={"steps": 20})
        assert outcome.attacked > 80
        return outcome.asr

    return asr


@pytest.mark.parametrize("name", CRAFTING)
def test_a_defended_model_resists_where_an_undefended_one_does_not(attacked, name):
    assert attacked(name) < attacked("none") - 0.15


def test_epochs_are_compared_by_their_accuracy_under_attack():
    rows = [
        history.Epoch(1, 0, 0.1, 0.99, 1.0, 0.2),
        history.Epoch(2, 0, 0.3, 0.95, 1.0, 0.6),
        history.Epoch(3, 0, 0.2, 0.97, 1.0, 0.5),
    ]
    assert history.best(rows).epoch == 2


def test_patience_counts_the_accuracy_under_attack(digits, tmp_path):
    settings = some(epochs=30, patience=2, learning_rate=0.1, defence={"name": "fast", "epsilon": 0.1})
    rows = fit(make(digits), digits, settings, tmp_path, seed=0)
    assert len(rows) < 30
    assert rows[-1].epoch - history.best(rows).epoch == 2


@pytest.mark.parametrize(
    ("precision", "computed", "kept"),
    [
        ("bf16-mixed", torch.bfloat16, torch.float32),
        ("64-true", torch.float64, torch.float64),
    ],
)
def test_a_defended_model_is_trained_in_the_precision_that_is_asked_for(
    digits, tmp_path, precision, computed, kept
):
    model, seen = make(digits), set()
    model.head.register_forward_hook(lambda head, _, logits: seen.add((logits.dtype, head.weight.dtype)))
    settings = some(epochs=1, precision=precision, defence={"name": "trades", "epsilon": 0.1})
    (row,) = fit(model, digits, settings, tmp_path, seed=0)
    assert seen == {(computed, kept)}
    assert row.train_loss > 0


def test_examples_can_be_crafted_in_inference_mode():
    model = linear()
    with torch.inference_mode():
        images = torch.rand(4, 1, 4, 4, dtype=torch.float64)
        found = ascend(lambda x: model(x).square().sum(), images, images, epsilon=0.1, step_size=0.1, steps=2)
    assert (found - images).abs().max() == pytest.approx(0.1)


def test_examples_of_confident_predictions_move_in_float16_too():
    """Their gradient, 1e-9 and less, is nothing in float16."""
    images = torch.full((2, 1, 1, 1), 0.5)

    def loss(x):
        logits = torch.matmul(x.flatten(1), torch.tensor([[20.0, -20.0]]))
        return cross_entropy(logits.float(), torch.tensor([0, 0]), reduction="sum")

    with torch.autocast("cpu", dtype=torch.float16):
        found = ascend(loss, images, images, epsilon=0.1, step_size=0.1, steps=1)
    torch.testing.assert_close(found, images - 0.1)


def test_the_task_trains_on_what_the_defence_shows(digits):
    model = make(digits).eval()
    images, labels = digits.train.images[:8], digits.train.labels[:8]
    pgd = defence("pgd", steps=2, random_start=False)
    task = ClassifierTask(model, learning_rate=1e-3, weight_decay=0, branch_weight=0.3, defence=pgd)
    task.trainer = type("Trainer", (), {"num_training_batches": 4, "current_epoch": 0})()
    shown = pgd.shown(model, images, labels, 0.1)
    stages = model.branches(shown)
    fused, classical, quantum = (
        cross_entropy(logits, labels).item() for logits in (stages.logits, stages.classical, stages.quantum)
    )
    loss = task.training_step((images, labels), 0)["loss"].item()
    assert loss == pytest.approx(fused + 0.3 * (classical + quantum), rel=1e-5)


def test_the_radius_is_the_attacks_own_unless_it_is_set():
    settings = load_settings("pneumoniamnist", ["training.defence=pgd"])
    assert settings.training.defence.name == "pgd"
    assert settings.training.defence.epsilon == pytest.approx(8 / 255)
    settings = load_settings("mnist", ["training.defence=trades", "training.defence.epsilon=0.14"])
    assert settings.training.defence.epsilon == 0.14
    settings = load_settings("mnist", ["training.defence.epsilon=36/255", "attack.epsilon=0:0.3:4"])
    assert settings.training.defence.epsilon == pytest.approx(36 / 255)


@pytest.mark.parametrize(
    ("dotted", "line"),
    [
        ("training.defence=pdg", "training.defence.name=pdg: expected .*did you mean pgd"),
        ("training.defence.epsilon=8/0", "training.defence.epsilon=8/0: expected a number"),
        ("training.defence.epsilon=0", "training.defence.epsilon=0: expected more than 0"),
        ("training.defence.stepps=3", "no such setting: 'training.defence.stepps'.*training.defence.steps"),
    ],
)
def test_a_wrong_setting_is_one_line(dotted, line):
    with pytest.raises(InputError, match=line) as caught:
        load_settings("digits", [dotted])
    assert "\n" not in str(caught.value)


def test_a_defence_without_a_radius_is_one_line(digits, tmp_path):
    with pytest.raises(InputError, match=r"^training.defence=pgd needs a radius; try [^\n]*$"):
        fit(make(digits), digits, some(defence={"name": "pgd"}), tmp_path, seed=0)


def test_two_processes_defend_one_model(tmp_path):
    """Spawned processes import the main script, so this one has to be a script of its own."""
    script = tmp_path / "distributed.py"
    script.write_text(
        textwrap.dedent(
            """
            from pathlib import Path
            import torch
            from qshield_qiskit.catalog import load_backend, load_circuit
            from qshield_qiskit.config import TrainingSettings
            from qshield_qiskit.data import load_dataset
            from qshield_qiskit.models.hybrid import HybridClassifier
            from qshield_qiskit.training.fitting import fit

            if __name__ == "__main__":
                digits = load_dataset("digits", train_images=120, test_images=50, seed=0)
                model = HybridClassifier(
                    load_circuit("full", 4), load_backend("aer_noisy", 4),
                    num_classes=10, input_shape=digits.shape, backbone="dnn",
                )
                settings = TrainingSettings(
                    epochs=2, batch_size=16, accelerator="cpu", devices=2, strategy="ddp", threads=1,
                    noise_aware=0.3, noise_variants=2, lipschitz_weight=0.01,
                    defence={"name": "trades", "epsilon": 0.1, "steps": 2},
                )
                rows = fit(model, digits, settings, Path("run"), seed=0)
                assert rows[1].train_loss < rows[0].train_loss
                assert all(0 <= row.validation_accuracy_attacked <= 1 for row in rows)
                best = torch.load("run/checkpoints/best.ckpt", weights_only=True)["state_dict"]
                assert torch.equal(best["model.head.weight"], model.head.weight)
                print("trained")
            """
        )
    )
    done = run_alone(script)
    assert done.stdout == "trained\n", done.stderr
    assert done.stderr == ""
