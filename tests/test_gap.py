"""A run on several backends: what the figures are, and that shots alone are told from noise."""

import json

import pytest
import torch
from typer.testing import CliRunner

from qshield_qiskit import attack, gap, runs
from qshield_qiskit.cli import app
from qshield_qiskit.config import load_settings
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import Branches

SMALL = ("data.train_images=300", "data.test_images=40", "training.epochs=2", "circuit.num_qubits=2")
FEW = ("attack=fgsm", "attack.epsilon=0.2", "attack.images=20")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return runs.train(load_settings("digits", [*SMALL, f"runs={tmp_path_factory.mktemp('runs')}"]))


def test_distances_of_known_distributions():
    one, other = torch.tensor([[1.0, 0, 0, 0], [0.25] * 4]), torch.tensor([[0, 0.5, 0.5, 0], [0.25] * 4])
    assert gap.distribution_distance(one, other, probabilities=True).tolist() == [1.0, 0.0]
    assert gap.distribution_distance(one, other, probabilities=False).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("both_sampled", [False, True])
def test_what_shots_make_of_the_distance_by_themselves(both_sampled):
    torch.manual_seed(0)
    shots, p = 4096, torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    draws = torch.distributions.Multinomial(shots, p).sample((2, 4000)) / shots
    theirs = draws[1] if both_sampled else p.expand(4000, 4)
    measured = gap.distribution_distance(theirs, draws[0], probabilities=True).mean()
    variance = (1 + both_sampled) / shots
    expected = gap.shot_noise_distance(p[None], variance, probabilities=True)
    torch.testing.assert_close(measured, expected[0], rtol=0.02, atol=0)
    bits = 2 * torch.distributions.Binomial(shots, torch.tensor(0.7)).sample((4000,)) / shots - 1
    off = (bits - 0.4).abs().mean()
    one = gap.shot_noise_distance(torch.tensor([[0.4]]), 1 / shots, probabilities=False)
    torch.testing.assert_close(off, one[0], rtol=0.05, atol=0)


def test_one_backend_by_shots_differs_by_its_shots_alone(run):
    many = [*FEW[:-1], "attack.images=40"]
    found = gap.compare_run(run, [*many, "backend=aer_noisy,aer_noisy", "backend.shots=1000"])
    exact, sampled = found["backends"]
    assert (exact["shots"], exact["from_first"]) == (None, 0.0)
    assert sampled["shots"] == 1000
    assert sampled["from_first"] == pytest.approx(sampled["from_shots_alone"], rel=0.5)  # 5 sigma
    assert exact["attacked"] == sampled["attacked"]


class OnGPU(torch.Tensor):
    """A tensor that, as on a GPU, meets none on the CPU until it is brought there."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if any(type(each) is torch.Tensor and each.dim() for each in args):
            raise RuntimeError("Expected all tensors to be on the same device")
        return super().__torch_function__(func, types, args, kwargs)


def test_what_a_gpu_answers_is_compared_on_the_cpu(run, monkeypatch):
    dotted = [*FEW, "backend=aer_ideal,aer_noisy"]
    expected = gap.compare_run(run, dotted)
    on_cpu = gap.classify
    monkeypatch.setattr(
        gap,
        "classify",
        lambda *words: Branches(
            *(None if stage is None else stage.cpu().as_subclass(OnGPU) for stage in on_cpu(*words))
        ),
    )
    assert gap.compare_run(run, dotted) == expected


def test_the_first_backend_is_at_no_distance_from_itself(run):
    first, second = gap.compare_run(run, [*FEW, "backend=fake_manila,aer_noisy"])["backends"]
    assert first["shots"] == 4096
    assert (first["from_first"], first["from_shots_alone"]) == (0.0, 0.0)
    assert second["from_first"] > 0 and second["from_shots_alone"] > 0


def test_another_device_differs_by_more_than_shots(run):
    found = gap.compare_run(run, [*FEW, "backend=aer_ideal,fake_manila", "backend.shots=40000"])
    device = found["backends"][1]
    assert device["from_first"] > 2 * device["from_shots_alone"] > 0
    assert device["calibration"]["device"] == "fake_manila"
    assert device["primitive"]["resilience_level"] == 1
    (kept,) = (run.folder.path / "comparisons").glob("aer_ideal-fake_manila-*.json")
    assert json.loads(kept.read_text()) == found


def test_the_first_backends_asr_is_the_attacks_own(run):
    found = gap.compare_run(run, [*FEW, "backend=aer_noisy,aer_noisy"])
    first, second = found["backends"]
    assert {key: first[key] for key in ("odr", "asr")} == {key: second[key] for key in ("odr", "asr")}
    outcome = attack(
        run.model, run.dataset().test.images[:20], run.dataset().test.labels[:20], "fgsm", epsilon=0.2
    )
    assert first["asr"] == outcome.asr


def test_the_attack_keeps_its_budget_and_its_stand_in(run, monkeypatch):
    made = []
    monkeypatch.setattr(gap, "attack", lambda *words, **given: made.append(given) or attack(*words, **given))
    gap.compare_run(
        run, [*FEW, "backend=fake_manila,aer_noisy", "attack.max_queries=900", "attack.bpda=aer_ideal"]
    )
    (given,) = made
    assert given["max_queries"] == 900
    assert given["differentiable"].backend.source["name"] == "aer_ideal"


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        (["backend=aer_noisy"], "backend=aer_noisy: expected two backends or more; try backend=aer_noisy,"),
        ([], "backend=none"),
        (["backend=aer_noisy,fake_manila", "attack=pgd,fgsm"], "a comparison takes one attack"),
        (["backend=aer_noisy,nowhere"], "no such backend: 'nowhere'"),
        (["backend=aer_noisy,fake_manila", "attack.images=41"], "41 images were asked for"),
        (["backend=aer_noisy,fake_manila", "attack.target=3"], "attack.target=3: .* try attack.target=null"),
        (
            ["backend=aer_noisy,fake_manila", "attack.bpda=ibm_x"],
            "attack.bpda=ibm_x: a device has no gradient",
        ),
        (["backend=aer_noisy,fake_manila", "backend.calibration=x"], "declares no setting 'calibration'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(run, dotted, message):
    with pytest.raises(InputError, match=message):
        gap.compare_run(run, dotted)


def test_the_command_prints_the_gap(run):
    arguments = ["compare", str(run.folder.path), "backend=aer_noisy,fake_manila", *FEW]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    for word in ("fake_manila", "4,096", "distance", "ASR", "exact"):
        assert word in shown.output
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(as_json.stdout)["run"] == str(run.folder.path)
