"""Training a part of a model, from another run's weights, with and without gradients."""

import shutil

import pytest
import torch
from torch import nn

from qshield_qiskit import runs
from qshield_qiskit.config import load_settings
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.small_cnn import DROPOUT
from qshield_qiskit.training.keeping import LAST
from qshield_qiskit.training.parts import PARTS, dropping

SMALL = ("data.train_images=200", "data.test_images=40", "circuit.num_qubits=2", "training.epochs=2")


def train(folder, *dotted):
    return runs.train(load_settings("digits", [*SMALL, f"runs={folder}", *dotted]))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("part", PARTS)
def test_nothing_else_moves(first, part, tmp_path):
    second = train(
        tmp_path, f"training.start_from={first.folder.path}", f"training.trains={part}", "training.epochs=1"
    )
    before, after = first.model.state_dict(), second.model.state_dict()
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved <= set(PARTS[part])
    assert "layer" in moved
    assert all(weight.requires_grad for weight in second.model.parameters())


def test_dropout_is_lifted_while_training_and_comes_back(first, tmp_path):
    dropped, undropped = first, train(tmp_path, "training.dropout=0")
    layers = [layer for layer in undropped.model.backbone.modules() if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in layers] == [DROPOUT]
    assert not torch.equal(dropped.model.head.weight, undropped.model.head.weight)
    with dropping(undropped.model, 0.0):
        undropped.model.train()
        images = torch.rand(8, *undropped.model.input_shape)
        with torch.no_grad():
            assert torch.equal(undropped.model(images), undropped.model(images))


def test_gradient_free_training_of_the_circuit_lowers_the_loss(first, tmp_path):
    """SPSA on the circuit's weights alone, on shots: the loss of the same images falls."""
    reset = runs.load_run(shutil.copytree(first.folder.path, tmp_path / "reset"))
    with torch.no_grad():
        reset.model.layer.weight.add_(1.5)  # detuned
    reset.model.save_pretrained(reset.folder.path)
    dotted = (
        f"training.start_from={reset.folder.path}",
        "training.trains=circuit",
        "training.learning_rate=0.1",
        "training.epochs=4",
        "training.batch_size=50",
        "training.branch_weight=1",
        "model.fusion=quantum_only",
        "backend.shots=200",
        "backend.gradient=spsa",
        "backend.gradient_draws=2",
    )
    second = train(tmp_path / "runs", *dotted)
    losses = [epoch.train_loss for epoch in second.history]
    assert losses[-1] < losses[0]
    assert (second.model.shots, second.config.backend.gradient) == (200, "spsa")


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        (["training.trains=circuit", "model.branch=none"], "no second branch; try training.trains=all"),
        (["training.trains=branch", "model.fusion=classical_only"], "has no say; try training.trains=all"),
        (["training.trains=circuit", "circuit.ansatz=none"], "no weights; try circuit.ansatz=rotations"),
        (["training.start_from=nowhere"], "nowhere: not a run"),
        (["training.dropout=0", "model.backbone=mlp"], "backbone mlp has no dropout; leave it null"),
        (["training.dropout=1"], "expected less than 1"),
        (["training.trains=head"], "expected 'all', 'branch' or 'circuit'"),
    ],
)
def test_what_cannot_be_trained_is_one_line(dotted, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(tmp_path, *dotted)
    assert not list(tmp_path.rglob("config.yaml"))


def test_a_training_goes_on_when_the_run_that_it_started_from_is_gone(tmp_path):
    first = train(tmp_path / "first", "training.epochs=1")
    dotted = (f"training.start_from={first.folder.path}", "training.epochs=1", "seed=1")
    whole = train(tmp_path / "second", *dotted)
    before = whole.model.state_dict()
    (whole.folder.path / "metrics.json").unlink()  # as if it had been stopped while it was measured
    shutil.rmtree(first.folder.path)
    resumed = runs.train(whole.config, resume=runs.load_run(whole.folder.path))
    assert all(torch.equal(tensor, before[name]) for name, tensor in resumed.model.state_dict().items())
    (
        whole.folder.path / LAST
    ).unlink()  # as if not even an epoch had been finished: fresh weights are not the same
    with pytest.raises(InputError, match=r"model.safetensors: no such file"):
        runs.train(whole.config, resume=runs.load_run(whole.folder.path))


def test_weights_in_double_precision_start_a_training_in_single(first, tmp_path):
    shutil.copytree(first.folder.path, tmp_path / "double")
    runs.load_run(tmp_path / "double").model.double().save_pretrained(tmp_path / "double")
    second = train(tmp_path / "runs", f"training.start_from={tmp_path / 'double'}", "training.epochs=1")
    assert second.model.head.weight.dtype == torch.float32


def test_another_models_weights_are_refused(first, tmp_path):
    with pytest.raises(InputError, match="the model expects"):
        train(tmp_path, f"training.start_from={first.folder.path}", "circuit.num_qubits=3")
