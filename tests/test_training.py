"""Training: the same weights for the same seed, stopped or not; what it keeps; what it refuses."""

import csv
import dataclasses
import math
import os
import signal
import textwrap
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest
import torch
from trainings import Interrupting, make, run_alone, same, some

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.data import Split, load_dataset
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.training import history
from qshield_qiskit.training.fitting import fit
from qshield_qiskit.training.history import HISTORY, Epoch
from qshield_qiskit.training.keeping import BEST, LAST
from qshield_qiskit.training.task import ClassifierTask


def test_training_learns(digits, tmp_path):
    model = make(digits, backbone="small_cnn")
    rows = fit(model, digits, some(epochs=10, batch_size=16, learning_rate=5e-3), tmp_path, seed=0)
    assert rows[-1].train_loss < rows[0].train_loss / 2
    assert max(row.validation_accuracy for row in rows) > 0.6


def test_the_same_seed_gives_the_same_weights_to_the_bit(digits, tmp_path):
    models = [make(digits) for _ in range(3)]
    for index, (model, seed) in enumerate(zip(models, (5, 5, 6), strict=True)):
        torch.rand(index)  # what was drawn before does not matter
        fit(model, digits, some(), tmp_path / str(index), seed)
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_a_process_that_ignores_ctrl_c_trains_in_any_thread(digits, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a job in the background
    try:
        with ThreadPoolExecutor() as threads:
            rows = threads.submit(fit, make(digits), digits, some(epochs=1), tmp_path, 0).result()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(rows) == 1


@pytest.mark.parametrize("backbone", ["dnn", "small_cnn"])  # both draw dropout
def test_a_stopped_training_goes_on_to_the_same_weights_to_the_bit(digits, tmp_path, backbone, ctrl_c):
    whole, stopped = make(digits, backbone=backbone), make(digits, backbone=backbone)
    rows = fit(whole, digits, some(epochs=4), tmp_path / "whole", seed=3)

    with pytest.raises(KeyboardInterrupt):
        fit(Interrupting.after(stopped, steps=9), digits, some(epochs=4), tmp_path / "stopped", seed=3)
    assert [row.epoch for row in history.read(tmp_path / "stopped" / HISTORY)] == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    resumed = make(digits, backbone=backbone, seed=99)  # its own weights give way to the checkpoint's
    torch.manual_seed(123)
    rows_too = fit(resumed, digits, some(epochs=4), tmp_path / "stopped", seed=3, resume=True)
    assert same(whole, resumed)
    for row, row_too in zip(rows, rows_too, strict=True):
        assert row[:4] == row_too[:4]


def test_a_training_that_a_batch_system_ends_says_so_by_its_exit_status_and_goes_on(digits, tmp_path):
    whole, stopped, resumed = make(digits), make(digits), make(digits, seed=99)
    fit(whole, digits, some(epochs=3), tmp_path / "whole", seed=3)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        fit(Interrupting.after(stopped, 7, signal.SIGTERM), digits, some(epochs=3), tmp_path / "stopped", 3)
    assert end.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    fit(resumed, digits, some(epochs=3), tmp_path / "stopped", seed=3, resume=True)
    assert same(whole, resumed)


def test_a_finished_training_is_resumed_without_a_step(digits, tmp_path):
    model, again = make(digits), make(digits, seed=1)
    rows = fit(model, digits, some(), tmp_path, seed=0)
    assert fit(again, digits, some(), tmp_path, seed=0, resume=True) == rows
    assert same(model, again)


def test_more_epochs_can_be_asked_for(digits, tmp_path):
    fit(make(digits), digits, some(epochs=1), tmp_path, seed=0)
    rows = fit(make(digits), digits, some(epochs=3), tmp_path, seed=0, resume=True)
    assert [row.epoch for row in rows] == [1, 2, 3]


def test_the_weights_kept_are_those_of_the_best_epoch(digits, tmp_path):
    model = make(digits)
    rows = fit(model, digits, some(epochs=3), tmp_path, seed=0)
    model.eval()
    with torch.no_grad():
        logits = model(digits.validation.images)
    best = history.best(rows)
    assert (logits.argmax(-1) == digits.validation.labels).float().mean().item() == pytest.approx(
        best.validation_accuracy
    )
    loss = torch.nn.functional.cross_entropy(logits, digits.validation.labels).item()
    assert loss == pytest.approx(best.validation_loss, rel=1e-4)


def test_best_is_the_most_accurate_epoch_then_the_lowest_loss_then_the_first():
    rows = [
        Epoch(1, 0, 0.2, 0.9, 0),
        Epoch(2, 0, 0.3, 0.95, 0),
        Epoch(3, 0, 0.1, 0.95, 0),
        Epoch(4, 0, 0.1, 0.95, 0),
    ]
    assert history.best(rows).epoch == 3


@pytest.fixture(scope="module")
def unvalidated():
    return load_dataset("digits", train_images=120, test_images=50, validation_fraction=0)


def test_without_validation_the_last_epoch_is_kept(unvalidated, tmp_path, capfd):
    model = make(unvalidated)
    rows = fit(model, unvalidated, some(), tmp_path, seed=0, progress=True)
    last = torch.load(tmp_path / LAST, weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, last[f"model.{name}"]) for name, tensor in model.state_dict().items())
    assert history.best(rows) is rows[-1]
    for row in history.read(tmp_path / HISTORY):
        assert not row.validated
        assert math.isnan(row.validation_accuracy)
        assert math.isfinite(row.train_loss)
    shown = capfd.readouterr().err
    assert "2/2" in shown
    assert "nan" not in shown and "best" not in shown


REPLICA = {
    "features": "logits",
    "projection": "random_expansion",
    "detach_circuit": True,
    "readout": "basis_states",
}


@pytest.mark.parametrize("options", [{}, REPLICA], ids=["default", "random at every forward"])
def test_a_training_without_validation_is_resumed_to_the_bit(unvalidated, tmp_path, ctrl_c, options):
    whole, stopped = (make(unvalidated, **options) for _ in range(2))
    resumed = make(unvalidated, seed=99, **options)
    rows = fit(whole, unvalidated, some(epochs=3), tmp_path / "whole", seed=3)
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupting.after(stopped, steps=7), unvalidated, some(epochs=3), tmp_path / "stopped", seed=3)
    assert len(history.read(tmp_path / "stopped" / HISTORY)) == 1
    torch.manual_seed(123)
    rows_too = fit(resumed, unvalidated, some(epochs=3), tmp_path / "stopped", seed=3, resume=True)
    assert same(whole, resumed)
    assert [row.train_loss for row in rows] == [row.train_loss for row in rows_too]


@pytest.mark.parametrize("learning_rate", [1e20, 1e30])
def test_a_loss_that_diverges_in_the_last_epoch_is_no_result_without_validation_either(
    unvalidated, tmp_path, learning_rate
):
    settings = some(epochs=1, learning_rate=learning_rate)
    with pytest.raises(InputError, match=r"the loss is no longer a number after epoch 1; try a smaller"):
        fit(make(unvalidated), unvalidated, settings, tmp_path, seed=0)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_weights_that_the_very_last_step_breaks_are_no_result(unvalidated, tmp_path):
    model = make(unvalidated)
    model.head.bias.register_hook(lambda gradient: gradient * math.nan)  # the loss before the step is fine
    with pytest.raises(InputError, match=r"weights are no longer numbers after epoch 1; try a smaller"):
        fit(model, unvalidated, some(epochs=1, batch_size=200), tmp_path, seed=0)


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(digits):
    """Batches differ in size, and a NaN in one of them is not dropped."""
    task = ClassifierTask(make(digits), learning_rate=1e-3, weight_decay=0)
    for mean in (task.train_loss, task.validation_loss):
        mean.update(torch.tensor(1.0), 3)
        mean.update(torch.tensor(5.0), 1)
        assert mean.compute().item() == 2.0
        mean.update(torch.tensor(math.nan), 4)
        assert math.isnan(mean.compute().item())


@pytest.mark.parametrize(("num_validation", "processes"), [(1, 2), (50, 61)])
def test_no_process_is_left_without_images(num_validation, processes, unvalidated, tmp_path):
    test = unvalidated.test
    held_out = Split(test.images[:num_validation], test.labels[:num_validation])
    dataset = dataclasses.replace(unvalidated, validation=held_out)
    line = (
        rf"^training.devices={processes}: {processes} processes need {2 * processes} training images, [^\n]*"
        rf"but there are 120 and {num_validation}; try training.devices=1$"
    )
    with pytest.raises(InputError, match=line):
        fit(make(dataset), dataset, some(devices=processes, strategy="ddp"), tmp_path, seed=0)


def test_patience_needs_validation_images(unvalidated, tmp_path):
    with pytest.raises(InputError, match=r"^training.patience=2: without validation images[^\n]*$"):
        fit(make(unvalidated), unvalidated, some(patience=2), tmp_path, seed=0)


def test_history_is_a_row_an_epoch(digits, tmp_path):
    rows = fit(make(digits), digits, some(), tmp_path, seed=0)
    lines = list(csv.DictReader((tmp_path / HISTORY).open()))
    assert list(lines[0]) == list(Epoch._fields)
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert [float(line["train_loss"]) for line in lines] == [row.train_loss for row in rows]
    assert all(float(line["seconds"]) > 0 for line in lines)


def test_checkpoints_load_without_running_code(digits, tmp_path):
    fit(make(digits), digits, some(epochs=1), tmp_path, seed=0)
    for name in (BEST, LAST):
        assert "model.layer.weight" in torch.load(tmp_path / name, weights_only=True)["state_dict"]


def test_patience_ends_a_training_that_no_longer_improves(digits, tmp_path):
    rows = fit(make(digits), digits, some(epochs=20, patience=2, learning_rate=0.1), tmp_path, seed=0)
    lowest = min(rows, key=lambda row: row.validation_loss)
    assert len(rows) < 20
    assert rows[-1].epoch - lowest.epoch == 2
    resumed = fit(
        make(digits), digits, some(epochs=20, patience=2, learning_rate=0.1), tmp_path, 0, resume=True
    )
    assert resumed == rows


def test_the_loss_counts_each_branch_alone_too(digits):
    model = make(digits).eval()
    batch = (digits.train.images[:8], digits.train.labels[:8])
    stages = model.branches(batch[0])
    fused, classical, quantum = (
        torch.nn.functional.cross_entropy(logits, batch[1]).item()
        for logits in (stages.logits, stages.classical, stages.quantum)
    )
    for weight in (0.0, 0.3):
        task = ClassifierTask(model, learning_rate=1e-3, weight_decay=0, branch_weight=weight)
        expected = fused + weight * (classical + quantum)
        assert task.training_step(batch, 0)["loss"].item() == pytest.approx(expected, rel=1e-5)
        assert task.train_loss.compute().item() == pytest.approx(fused, rel=1e-5)


def test_its_own_loss_makes_the_quantum_branch_learn(tmp_path):
    """Under the paper's fusion the classical branch learns faster, and what is right already asks for nothing more."""
    dataset = load_dataset("digits", train_images=400, test_images=200, seed=0)
    right = []
    for weight in (0.0, 0.5):
        model = make(dataset, fusion="dynamic")
        settings = some(epochs=8, learning_rate=5e-3, branch_weight=weight)
        fit(model, dataset, settings, tmp_path / str(weight), seed=0)
        with torch.no_grad():
            quantum = model.eval().branches(dataset.test.images).quantum
        right.append((quantum.argmax(-1) == dataset.test.labels).float().mean())
    assert right[1] > right[0] + 0.2


@pytest.mark.parametrize(
    "options", [{"branch": "none"}, {"fusion": "quantum_only"}, {"fusion": "classical_only"}]
)
def test_one_branch_alone_has_the_plain_loss(digits, options):
    model = make(digits, **options).eval()
    batch = (digits.train.images[:8], digits.train.labels[:8])
    task = ClassifierTask(model, learning_rate=1e-3, weight_decay=0, branch_weight=0.3)
    expected = torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
    torch.testing.assert_close(task.training_step(batch, 0)["loss"], expected)


def test_a_checkpoint_of_another_shape_is_one_line(digits, tmp_path):
    fit(make(digits), digits, some(epochs=1), tmp_path, seed=0)
    other = HybridClassifier(
        load_circuit("full", 2),
        load_backend("aer_ideal", 2),
        num_classes=3,
        input_shape=(1, 8, 8),
        backbone="dnn",
    )
    line = r"last.ckpt: tensor head.weight has shape \(10, 128\), but the model expects \(3, 128\)"
    with pytest.raises(InputError, match=line) as caught:
        fit(other, digits, some(), tmp_path, seed=0, resume=True)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_one_line(digits, tmp_path):
    fit(make(digits), digits, some(epochs=1), tmp_path, seed=0)
    last = tmp_path / LAST
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"last\.ckpt: not a readable checkpoint") as caught:
        fit(make(digits), digits, some(), tmp_path, seed=0, resume=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"accelerator": "gpus"}, "accelerator=gpus.*Lightning says"),
        pytest.param(
            {"accelerator": "gpu"},
            "No supported gpu backend",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        pytest.param(
            {"accelerator": "tpu"},
            "accelerator=tpu.*Lightning says",
            marks=pytest.mark.skipif(find_spec("torch_xla") is not None, reason="there may be a TPU"),
        ),
        ({"strategy": "dpp"}, "strategy=dpp.*Lightning says"),
        (
            {"accelerator": "cpu", "devices": 2, "strategy": "ddp_find_unused_parameters_true"},
            "strategy=ddp_find_unused_parameters_true would start the whole command.*try training.strategy=ddp",
        ),
        ({"batch_size": 1}, "batch norm needs 2 images"),
        ({"learning_rate": 1e30}, "no longer a number after epoch 1.*smaller training.learning_rate"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_said_in_one_line(digits, tmp_path, options, line):
    with pytest.raises(InputError, match=line) as caught:
        fit(make(digits), digits, some(**options), tmp_path, seed=0)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_moved_into_its_place_from_beside_it(digits, tmp_path, monkeypatch):
    moved, replace = [], os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: moved.append((str(old), str(new))) or replace(old, new)
    )
    fit(make(digits), digits, some(epochs=1), tmp_path, seed=0)
    folder = tmp_path / "checkpoints"
    beside = {new: old for old, new in moved if new.startswith(str(folder))}
    assert set(beside) == {str(tmp_path / BEST), str(tmp_path / LAST)}
    assert all(old.startswith(f"{folder}/") for old in beside.values())
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_double_precision(digits, tmp_path):
    model = make(digits)
    fit(model, digits, some(epochs=1, precision="64-true"), tmp_path, seed=0)
    assert model.head.weight.dtype == torch.float64


def test_training_says_nothing_unless_asked(digits, tmp_path, capfd):
    fit(make(digits), digits, some(epochs=1), tmp_path / "quiet", seed=0)
    assert capfd.readouterr() == ("", "")
    fit(make(digits), digits, some(epochs=1), tmp_path / "loud", seed=0, progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "1/1" in shown.err
    assert "best" in shown.err


def test_training_leaves_torch_as_it_was(digits, tmp_path):
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    fit(make(digits), digits, some(epochs=1), tmp_path, seed=0)
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == before


def test_two_processes_give_the_weights_of_one(tmp_path):
    """At equal global batch, 101 images that do not divide evenly, and a backbone without batch norm and dropout.

    Spawned processes import the main script, so this one has to be a script of its own.
    """
    script = tmp_path / "distributed.py"
    script.write_text(
        textwrap.dedent(
            """
            from pathlib import Path
            import torch
            from qshield_qiskit.catalog import load_backend, load_circuit
            from qshield_qiskit.config import TrainingSettings
            from qshield_qiskit.data import load_dataset
            from qshield_qiskit.errors import InputError
            from qshield_qiskit.models.hybrid import HybridClassifier
            from qshield_qiskit.training.fitting import fit

            def train(folder, **options):
                torch.manual_seed(0)
                model = HybridClassifier(
                    load_circuit("full", 4), load_backend("aer_noisy", 4),
                    num_classes=10, input_shape=digits.shape, backbone="mlp",
                )
                before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                settings = TrainingSettings(epochs=2, accelerator="cpu", threads=1, **options)
                rows = fit(model, digits, settings, Path(folder), seed=0)
                assert [row.epoch for row in rows] == [1, 2]
                assert rows[1].train_loss < rows[0].train_loss
                best = torch.load(f"{folder}/checkpoints/best.ckpt", weights_only=True)["state_dict"]
                assert torch.equal(best["model.head.weight"], model.head.weight)
                return before, model.state_dict(), rows

            if __name__ == "__main__":
                digits = load_dataset("digits", train_images=112, test_images=50, seed=0)
                assert len(digits.train) % 4 == 1
                before, one, rows = train("one", batch_size=32)
                _, two, rows_too = train("two", batch_size=16, devices=2, strategy="ddp")
                moved = max(float((one[name] - before[name]).abs().max()) for name in one)
                apart = max(float((one[name] - two[name]).abs().max()) for name in one)
                assert moved > 1e-3, moved
                assert apart < 1e-5, apart
                assert abs(rows[-1].train_loss - rows_too[-1].train_loss) < 1e-5
                print("trained")
                try:
                    train("three", batch_size=16, devices=2, strategy="ddp", learning_rate=1e30)
                except InputError as error:
                    print(error)
            """
        )
    )
    done = run_alone(script)
    refusal = "the loss is no longer a number after epoch 1; try a smaller training.learning_rate"
    assert done.stdout == f"trained\n{refusal}\n", done.stderr
    assert done.stderr == ""


def test_processes_draw_apart_and_a_resumed_one_draws_what_it_would_have(tmp_path):
    script = tmp_path / "distributed.py"
    script.write_text(
        textwrap.dedent(
            """
            import hashlib
            from pathlib import Path
            import torch
            from qshield_qiskit.config import TrainingSettings
            from qshield_qiskit.data import load_dataset
            from qshield_qiskit.models.hybrid import HybridClassifier
            from qshield_qiskit.training.fitting import fit

            def note(module, inputs):
                if module.training:
                    drawn = hashlib.sha256(torch.get_rng_state().numpy()).hexdigest()
                    file = FOLDER / f"{torch.distributed.get_rank()}.txt"
                    with file.open("a") as lines:
                        print(drawn, file=lines)

            def train(epochs, resume=False):
                torch.manual_seed(0)
                model = HybridClassifier(
                    None, None, num_classes=10, input_shape=digits.shape, backbone="dnn", branch="none"
                )
                model.backbone.register_forward_pre_hook(note)
                settings = TrainingSettings(epochs=epochs, batch_size=28, devices=2, strategy="ddp",
                                            accelerator="cpu", threads=1, schedule="constant")
                fit(model, digits, settings, FOLDER / "run", seed=0, resume=resume)
                drawn = [(FOLDER / f"{rank}.txt").read_text().split() for rank in range(2)]
                return model.state_dict(), drawn

            FOLDER = Path("whole")
            if __name__ == "__main__":
                digits = load_dataset("digits", train_images=112, test_images=50, seed=0)
                FOLDER.mkdir()
                one, drawn = train(2)
                assert len(drawn[0]) == len(drawn[1]) >= 4, drawn
                assert len({*drawn[0], *drawn[1]}) == len(drawn[0]) + len(drawn[1]), drawn
                for rank in range(2):
                    (FOLDER / f"{rank}.txt").unlink()
                (FOLDER / "run/checkpoints/last.ckpt").unlink()
                train(1)
                two, drawn_too = train(2, resume=True)
                assert drawn_too == drawn, (drawn, drawn_too)
                assert all(torch.equal(one[name], two[name]) for name in one)
                print("drawn")
            """
        )
    )
    done = run_alone(script)
    assert done.stdout == "drawn\n", done.stderr


@pytest.mark.parametrize(("fusion", "strategy"), [("quantum_only", "ddp"), ("classical_only", "auto")])
def test_processes_train_a_model_of_which_one_branch_does_not_predict(tmp_path, fusion, strategy):
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            from qshield_qiskit import runs
            from qshield_qiskit.config import load_settings

            if __name__ == "__main__":
                words = ["training.accelerator=cpu", "training.devices=2", "training.epochs=1",
                         "data.train_images=120", "data.test_images=20", "model.backbone=mlp", "circuit.num_qubits=2",
                         "training.batch_size=16", "training.threads=1", "model.fusion={fusion}", "runs=runs",
                         "training.strategy={strategy}"]
                print(runs.train(load_settings("digits", words)).metrics["n"])
            """
        )
    )
    done = run_alone(script)
    assert done.stdout == "20\n", done.stderr


def test_the_learning_rate_falls_as_a_cosine(digits):
    task = ClassifierTask(make(digits), learning_rate=0.01, weight_decay=0)
    task.trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()
    settings = task.configure_optimizers()
    optimizer, scheduler = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
    for step in range(10):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.005 * (1 + math.cos(math.pi * step / 10)))
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)
