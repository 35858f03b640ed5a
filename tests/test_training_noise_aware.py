"""Noise-aware training: another device for each batch, the same weights on all of them, and what it is good for."""

import pickle

import pytest
import torch
from torch.nn.functional import cross_entropy
from trainings import Interrupting, make, same, some

from qshield_qiskit.catalog import load_backend
from qshield_qiskit.config import load_settings
from qshield_qiskit.data import load_dataset
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.training.fitting import fit
from qshield_qiskit.training.noise_aware import Devices, build_devices
from qshield_qiskit.training.task import ClassifierTask

NAMES = ["fake_manila_5q", "fake_torino_6q"]


def test_a_layer_runs_on_another_device_for_a_while(digits):
    model = make(digits).eval()
    manila = load_backend("aer_noisy", 4, calibration="fake_manila_5q")
    other = model.with_backend(manila)
    images = digits.test.images[:6]
    own = model(images)
    with model.layer.running(ExactQNN(model.template, manila)):
        found = model(images)
        found.sum().backward()
    other(images).sum().backward()
    torch.testing.assert_close(found, other(images))
    torch.testing.assert_close(model.layer.weight.grad, other.layer.weight.grad)
    assert (found - own).abs().max() > 1e-3
    assert torch.equal(model(images), own)


def test_a_layer_comes_back_from_another_device_after_an_error(digits):
    model = make(digits)
    own = model.layer.neural_network
    with pytest.raises(ZeroDivisionError), model.layer.running(ExactQNN(model.template)):
        _ = 1 / 0
    assert model.layer.neural_network is own


def test_batches_draw_from_all_devices_and_a_repetition_draws_the_same(digits):
    model = make(digits)
    devices = build_devices(model, NAMES, variants=8, seed=0)
    own = model.layer.neural_network

    def draws():
        chosen = []
        for epoch in range(2):
            for batch in range(20):
                with devices.drawn(model, epoch, batch):
                    chosen.append(devices.networks.index(model.layer.neural_network))
                assert model.layer.neural_network is own
        return chosen

    first = draws()
    assert set(first) == {0, 1}
    assert first[:20] != first[20:]
    assert draws() == first


def test_a_spread_gives_as_many_devices_as_asked_for_and_names_one_each(digits):
    model = make(digits)
    images = torch.rand(4, model.layer.num_inputs)
    for noise, count in ((0.3, 3), (NAMES, 2)):
        devices = build_devices(model, noise, variants=3, seed=0)
        outcomes = [network.evaluate(images, model.layer.weight) for network in devices.networks]
        assert len(outcomes) == count
        assert not any(torch.allclose(one, outcomes[0], atol=1e-5) for one in outcomes[1:])
        again = pickle.loads(pickle.dumps(devices))  # to the processes of a distributed run
        for network, outcome in zip(again.networks, outcomes, strict=True):
            assert torch.equal(network.evaluate(images, model.layer.weight), outcome)


def test_a_step_is_taken_on_the_device_that_was_drawn(digits):
    model = make(digits).eval()
    batch = digits.train.images[:8], digits.train.labels[:8]
    network = ExactQNN(model.template, load_backend("aer_noisy", 4, calibration="fake_manila_5q"))
    task = ClassifierTask(
        model, learning_rate=1e-3, weight_decay=0, branch_weight=0, devices=Devices([network], seed=0)
    )
    loss = task.training_step(batch, 0)["loss"]
    expected = cross_entropy(model.with_backend(network.backend)(batch[0]), batch[1])
    torch.testing.assert_close(loss, expected)
    assert abs(loss - cross_entropy(model(batch[0]), batch[1])) > 1e-5


def test_a_stopped_training_goes_on_to_the_same_weights_to_the_bit(digits, tmp_path, ctrl_c):
    whole, stopped, resumed = make(digits), make(digits), make(digits, seed=99)
    settings = some(
        epochs=3, noise_aware=0.5, noise_variants=2, defence={"name": "pgd", "epsilon": 0.1, "steps": 1}
    )
    fit(whole, digits, settings, tmp_path / "whole", seed=3)
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupting.after(stopped, steps=7), digits, settings, tmp_path / "stopped", seed=3)
    fit(resumed, digits, settings, tmp_path / "stopped", seed=3, resume=True)
    assert same(whole, resumed)


@pytest.mark.parametrize("branch", ["none", "control"])
def test_models_without_a_device_train_as_ever(digits, tmp_path, branch):
    models = [make(digits, branch=branch) for _ in range(2)]
    for model, noise in zip(models, (None, 0.5), strict=True):
        fit(model, digits, some(epochs=1, noise_aware=noise), tmp_path / str(noise), seed=0)
    assert same(*models)


def test_a_model_that_knew_a_bad_day_survives_it(tmp_path):
    """The same device with a readout that misses half of the ones."""
    dataset = load_dataset("digits", train_images=800, test_images=300, seed=0)
    good = calibrations.load_for("fake_manila_5q", 4)
    qubits = [qubit.model_copy(update={"prob_meas0_prep1": 0.5}) for qubit in good.qubits]
    bad = good.model_copy(update={"qubits": tuple(qubits)})
    days = {"good": good, "bad": bad}
    for name, calibration in days.items():
        calibration.to_json(tmp_path / f"{name}.json")
    accuracy = {}
    for known in (["good"], ["good", "bad"]):
        model = make(dataset, fusion="quantum_only")
        settings = some(
            epochs=12,
            batch_size=64,
            learning_rate=5e-3,
            noise_aware=[str(tmp_path / f"{name}.json") for name in known],
        )
        fit(model, dataset, settings, tmp_path / "-".join(known), seed=0)
        model.eval()
        for name, calibration in days.items():
            with torch.no_grad():
                logits = model.with_backend(Backend.calibrated(name, calibration))(dataset.test.images)
            right = (logits.argmax(1) == dataset.test.labels).float().mean()
            accuracy["-".join(known), name] = float(right)
    assert accuracy["good-bad", "bad"] > accuracy["good", "bad"] + 0.1
    assert accuracy["good-bad", "good"] > 0.75


def test_the_largest_spread_still_makes_devices(digits):
    model = make(digits)
    devices = build_devices(model, 10.0, 20, seed=0)
    angles = torch.rand(3, model.template.num_inputs)
    for network in devices.networks:
        with model.layer.running(network), torch.no_grad():
            torch.testing.assert_close(model.layer(angles).sum(1), torch.ones(3))


def test_settings_take_a_spread_a_name_or_names():
    for typed, value in (
        ("0.3", 0.3),
        ("fake_manila_5q", ("fake_manila_5q",)),
        (f"[{','.join(NAMES)}]", tuple(NAMES)),
    ):
        assert load_settings("digits", [f"training.noise_aware={typed}"]).training.noise_aware == value


def test_what_cannot_drift_is_said_in_one_line(digits, tmp_path):
    model = make(digits).with_backend(load_backend("paper_noise", 4))
    with pytest.raises(InputError, match=r"^training.noise_aware=0.3: backend=paper_noise has no [^\n]*$"):
        fit(model, digits, some(noise_aware=0.3), tmp_path, seed=0)
    sampled = make(digits, sampling={"shots": 100})
    with pytest.raises(InputError, match=r"^training.noise_aware=0.3: devices are drawn for exact [^\n]*$"):
        fit(sampled, digits, some(noise_aware=0.3), tmp_path, seed=0)
    with pytest.raises(InputError, match=r"fake_manila_5q"):
        fit(model, digits, some(noise_aware=["fake_manilla_5q"]), tmp_path, seed=0)
    with pytest.raises(InputError, match=r"training.noise_aware=-1: expected at least 0"):
        load_settings("digits", ["training.noise_aware=-1"])
