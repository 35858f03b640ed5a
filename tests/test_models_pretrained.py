"""Saved models: back to the bit, whatever the circuit, and one line when a file does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from safetensors.torch import load_file, save_file

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.pretrained import loading_call, read_config
from qshield_qiskit.quantum.template import CircuitTemplate

SHAPE = (1, 8, 8)
COMMITTED = Path(__file__).parents[1] / "models"


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


def _retype(name, dtype):
    def damage(folder):
        tensors = load_file(folder / "model.safetensors")
        save_file(tensors | {name: tensors[name].to(dtype)}, folder / "model.safetensors")

    return damage


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
        (_truncate("config.json"), r"config.json: broken or truncated JSON"),
        (_truncate("circuit.qpy"), r"circuit.qpy: .*no circuit template"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"model.safetensors: no such file"),
        (lambda folder: (folder / "circuit.qpy").unlink(), r"circuit.qpy: No such file"),
        (
            lambda folder: (folder / "config.json").write_text("{}"),
            r"config.json: the key backbone is missing",
        ),
        (lambda folder: (folder / "config.json").write_text("[]"), r"config.json: a saved model is one JSON"),
        (_retype("head.weight", torch.int64), r"tensor head.weight is of torch.int64, .* floating-point"),
        (_retype("head.bias", torch.complex64), r"tensor head.bias is of torch.complex64, .* floating-point"),
    ],
)
def test_a_file_that_does_not_fit_is_named_in_one_line(tmp_path, damage, line):
    make().save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=line) as caught:
        HybridClassifier.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def _change(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


IDEAL = {"name": "aer_ideal", "num_qubits": 2, "options": {}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_classes": None}, "num_classes = null"),
        ({"num_classes": -1}, "num_classes = -1"),
        ({"num_classes": "3"}, 'num_classes = "3"'),
        ({"num_classes": 3.0}, "num_classes = 3.0"),
        ({"input_shape": None}, "input_shape = null"),
        ({"input_shape": "188"}, 'input_shape = "188"'),
        ({"input_shape": [1, 8]}, "input_shape.2 is missing"),
        ({"input_shape": [1, 8, "8"]}, 'input_shape.2 = "8"'),
        ({"input_shape": [1, 8, 0]}, "input_shape.2 = 0"),
        ({"backend": "aer_ideal"}, 'backend = "aer_ideal"'),
        ({"backend": {}}, "the key backend.name is missing"),
        ({"backend": []}, r"backend = \[\]"),
        ({"backend": None}, "pass backend="),
        ({"backend": IDEAL | {"name": 3}}, "backend.name = 3"),
        ({"backend": IDEAL | {"name": "aer_ideel"}}, "did you mean aer_ideal"),
        ({"backend": IDEAL | {"num_qubits": "2"}}, 'backend.num_qubits = "2"'),
        ({"backend": IDEAL | {"options": None}}, "backend.options = null"),
        ({"backend": IDEAL | {"options": {"num_qubits": 3}}}, "num_qubits stands beside the options"),
        ({"backend": IDEAL | {"options": {"name": "x"}}}, "name stands beside the options"),
        (
            {"backend": IDEAL | {"name": "fake_manila", "options": {"resilience_level": [1]}}},
            "resilience_level",
        ),
        ({"backbone": 1}, "backbone = 1"),
        ({"backbone": "small_cn"}, "config.json: no such backbone.* did you mean small_cnn"),
        ({"fusion": ["product"]}, r"fusion = \[\"product\"\]"),
        ({"branch": "other"}, "config.json: no such branch"),
        ({"sampling": {"x": 1}}, "sampling.x = 1: extra inputs are not permitted"),
        ({"sampling": {"shots": -3}}, "sampling.shots = -3"),
        ({"sampling": {"shots": "100"}}, 'sampling.shots = "100"'),
        ({"sampling": {"gradient": "finite"}}, "no such gradient"),
        ({"sampling": [1]}, "sampling = "),
        ({"detach_circuit": "false"}, 'detach_circuit = "false"'),
        ({"seed": "a"}, 'seed = "a"'),
        ({"colour": "red"}, 'colour = "red"'),
    ],
    ids=str,
)
def test_a_damaged_config_is_refused_by_file_key_and_value(tmp_path, changes, says):
    make().save_pretrained(tmp_path)
    _change(tmp_path, **changes)
    with pytest.raises(InputError, match=says) as refused:
        HybridClassifier.from_pretrained(tmp_path)
    assert str(refused.value).startswith(str(tmp_path)) or "backend" in changes
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_a_committed_model_is_saved_again_as_it_is(tmp_path, name):
    HybridClassifier.from_pretrained(COMMITTED / name).save_pretrained(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == (COMMITTED / name / "config.json").read_bytes()
    before, after = (load_file(folder / "model.safetensors") for folder in (COMMITTED / name, tmp_path))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_model_of_before_the_later_keys_loads_with_their_defaults(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key in ("features", "projection", "detach_circuit", "readout", "sampling", "seed"):
        del config[key]
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded, images = HybridClassifier.from_pretrained(tmp_path), torch.rand(4, *SHAPE)
    assert torch.equal(loaded(images), model(images))
    assert (loaded.features_name, loaded.readout_name, loaded.sampling, loaded.seed) == (
        "backbone",
        "trained",
        {},
        0,
    )


def test_numbers_of_numpy_are_saved_as_numbers(tmp_path):
    model = make(
        num_classes=np.int64(3),
        backend=load_backend("paper_noise", np.int64(2), p=np.float64(0.25)),
        sampling={"shots": np.int64(100)},
        detach_circuit=np.bool_(True),
        seed=np.uint32(7),
    )
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["num_classes"], config["sampling"], config["seed"]) == (3, {"shots": 100}, 7)
    assert config["detach_circuit"] is True
    assert config["backend"] == {"name": "paper_noise", "num_qubits": 2, "options": {"p": 0.25}}
    loaded = HybridClassifier.from_pretrained(tmp_path)
    assert loaded(torch.rand(4, *SHAPE)).shape == (4, 3)


def test_a_backend_of_options_that_no_file_holds_must_be_given_again(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from qshield_qiskit.devices.backend import Backend\n"
        "def build(num_qubits, noise): return Backend('mine', num_qubits, noise)\n"
    )
    noise = load_backend("aer_noisy", 2).noise_model
    make(backend=load_backend(str(tmp_path / "mine.py"), 2, noise=noise)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="pass backend="):
        HybridClassifier.from_pretrained(tmp_path)


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(InputError, match='cannot be saved: detach_circuit = "false"'):
        make(detach_circuit="false").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no such setting of sampling: 'shot'; did you mean shots"):
        make(sampling={"shot": 100})
    assert not list(tmp_path.iterdir())


def test_loading_a_folder_runs_no_code_that_it_names(tmp_path):
    make(backend=load_backend("aer_ideal", 2)).save_pretrained(tmp_path)
    code = tmp_path / "noise.py"
    code.write_text(
        f"open({str(tmp_path / 'was_run')!r}, 'w').close()\n"
        "from qshield_qiskit.devices.backend import Backend\n"
        "def build(num_qubits, p=0.1): return Backend('noise', num_qubits)\n"
    )
    _change(tmp_path, backend={"name": str(code), "num_qubits": 2, "options": {"p": 0.2}})
    call = f"pass backend=load_backend({str(code)!r}, 2, p=0.2)"
    says = loading_call(tmp_path, read_config(tmp_path))
    assert says.endswith(f'from_pretrained("{tmp_path}", backend=qs.{call.partition("=")[2]})')
    with pytest.raises(InputError) as refused:
        HybridClassifier.from_pretrained(tmp_path)
    assert str(refused.value).endswith(call)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "was_run").exists()
    backend = load_backend(str(code), 2, p=0.2)
    assert HybridClassifier.from_pretrained(tmp_path, backend=backend).backend is backend


def test_a_backend_of_the_working_directory_is_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "mine.py").write_text(
        "from qshield_qiskit.devices.backend import Backend\n"
        "def build(num_qubits): return Backend('mine', num_qubits)\n"
    )
    monkeypatch.chdir(tmp_path)
    make(backend=load_backend("mine", 2)).save_pretrained(tmp_path / "saved")
    assert HybridClassifier.from_pretrained(tmp_path / "saved").backend.name == "mine"


@pytest.mark.parametrize("name", ["ibm_torino", "ibm_runtime"])
def test_loading_a_folder_asks_no_service(tmp_path, name, monkeypatch):
    asked = []
    monkeypatch.setattr("qshield_qiskit.devices.ibm.open_service", lambda: asked.append(name))
    monkeypatch.setattr("qshield_qiskit.devices.calibrations.open_service", lambda: asked.append(name))
    make(backend=load_backend("aer_ideal", 2)).save_pretrained(tmp_path)
    _change(tmp_path, backend={"name": name, "num_qubits": 2, "options": {}})
    with pytest.raises(InputError, match=rf"account's name.* pass backend=load_backend\('{name}', 2\)"):
        HybridClassifier.from_pretrained(tmp_path)
    assert not asked
