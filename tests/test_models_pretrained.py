"""Saved models: back to the bit, whatever the circuit, and one line when a file does not fit."""

import json

import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from safetensors.torch import load_file, save_file

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.quantum.template import CircuitTemplate

SHAPE = (1, 8, 8)


def make(branch="circuit", *, num_classes=3, template=None, backend=None, backbone="dnn", **options):
    template = template or load_circuit("linear", 2)
    backend = backend or load_backend("aer_noisy", 2)
    model = HybridClassifier(
        template,
        backend,
        num_classes=num_classes,
        input_shape=SHAPE,
        branch=branch,
        backbone=backbone,
        **options,
    )
    with torch.no_grad():
        model.train()(torch.rand(16, *SHAPE))  # running means that differ from their start
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("branch", ["circuit", "control", "none"])
def test_a_saved_model_comes_back_to_the_bit(tmp_path, branch, dtype):
    model = make(branch, fusion="weighted_sum").to(dtype)
    model.save_pretrained(tmp_path)
    loaded = HybridClassifier.from_pretrained(tmp_path)
    images = torch.rand(4, *SHAPE, dtype=dtype)
    assert torch.equal(loaded(images), model(images))
    assert loaded.num_parameters == model.num_parameters
    assert (loaded.branch, loaded.fusion_name, loaded.input_shape) == (branch, "weighted_sum", SHAPE)


@pytest.mark.parametrize("backbone", ["small_cnn", "resnet18"])
def test_convolutions_come_back_to_the_bit(tmp_path, backbone):
    model = make(backbone=backbone)
    model.save_pretrained(tmp_path)
    images = torch.rand(4, *SHAPE)
    assert torch.equal(HybridClassifier.from_pretrained(tmp_path)(images), model(images))


def test_a_circuit_of_ones_own_travels_with_the_model(tmp_path):
    x, w = ParameterVector("x", 2), ParameterVector("theta", 1)
    circuit = QuantumCircuit(2)
    circuit.ry(2 * x[0], 0)
    circuit.rzz(x[0] * x[1] + w[0], 0, 1)
    circuit.rx(x[1], 1)
    template = CircuitTemplate(circuit, inputs=x, weights=w, observables=["ZI", "XX", "IZ"])
    model = make(template=template)
    model.save_pretrained(tmp_path)
    images = torch.rand(4, *SHAPE)
    assert torch.equal(HybridClassifier.from_pretrained(tmp_path)(images), model(images))


def test_the_backend_comes_back_with_its_options(tmp_path):
    strong = load_backend("paper_noise", 2, channel="depolarizing", p=0.2)
    model = make(backend=strong)
    model.save_pretrained(tmp_path)
    images = torch.rand(4, *SHAPE)
    assert torch.equal(HybridClassifier.from_pretrained(tmp_path)(images), model(images))
    ideal = HybridClassifier.from_pretrained(tmp_path, backend=load_backend("aer_ideal", 2))
    assert torch.equal(ideal(images), model.with_backend(load_backend("aer_ideal", 2))(images))
    assert not torch.equal(ideal(images), model(images))


def test_the_seed_of_sampled_noise_comes_back_and_goes_along_to_another_backend(tmp_path):
    backend = load_backend("paper_noise", 9, p=0.2)
    model = make(template=load_circuit("none", 9, ansatz="none"), backend=backend, seed=1)
    model.save_pretrained(tmp_path)
    images = torch.rand(1, *SHAPE)
    outcomes = model.branches(images).outcomes
    for copy in (HybridClassifier.from_pretrained(tmp_path), model.with_backend(backend)):
        assert torch.equal(copy.branches(images).outcomes, outcomes)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("seed") == 1
    (tmp_path / "config.json").write_text(json.dumps(config))  # as it was before models had one
    assert not torch.equal(HybridClassifier.from_pretrained(tmp_path).branches(images).outcomes, outcomes)


def test_a_backend_of_ones_own_must_be_given_again(tmp_path):
    backend = type(load_backend("aer_ideal", 2))("bench", 2)
    make(backend=backend).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="pass backend="):
        HybridClassifier.from_pretrained(tmp_path)
    assert HybridClassifier.from_pretrained(tmp_path, backend=backend).backend is backend


def test_loading_moves_no_random_numbers(tmp_path):
    make().save_pretrained(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    HybridClassifier.from_pretrained(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_saved_is_a_pickle(tmp_path):
    make().save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "circuit.qpy",
        "config.json",
        "model.safetensors",
    ]
    json.loads((tmp_path / "config.json").read_text())
    assert load_file(tmp_path / "model.safetensors")["layer.weight"].shape == (6,)
    assert (tmp_path / "circuit.qpy").read_bytes().startswith(b"QISKIT")


def _drop_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["head.bias"]
    save_file(tensors, folder / "model.safetensors")


def _add_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors") | {"extra": torch.zeros(2)}
    save_file(tensors, folder / "model.safetensors")


def _change_the_classes(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_classes": 5}))


def _truncate(name):
    def damage(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:100])

    return damage


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (
            _change_the_classes,
            r"model.safetensors: tensor head.weight has shape \(3, 128\), .*expects \(5, 128\)",
        ),
        (_drop_a_tensor, r"lacks tensor head.bias, expected with shape \(3,\)"),
        (_add_a_tensor, r"has tensor extra of shape \(2,\), unknown"),
        (_truncate("model.safetensors"), r"model.safetensors: not a readable safetensors file"),
        (_truncate("config.json"), r"config.json: not JSON"),
        (_truncate("circuit.qpy"), r"circuit.qpy: .*no circuit template"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model.safetensors: no such file"),
        (lambda folder: (folder / "circuit.qpy").unlink(), r"circuit.qpy: No such file"),
        (lambda folder: (folder / "config.json").write_text("{}"), r"config.json: expected exactly the keys"),
    ],
)
def test_a_file_that_does_not_fit_is_named_in_one_line(tmp_path, damage, line):
    make().save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=line) as caught:
        HybridClassifier.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)
