"""All digits of single precision, whatever a process has allowed torch to round."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.training.figures import classify

ASKED = {
    "nothing": "pass",
    "products": "torch.set_float32_matmul_precision('medium')",
    "no rounding": "torch.backends.cudnn.allow_tf32 = False",
    "convolutions, by the new switch": "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "products, by the new switch": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "everything": "torch.backends.fp32_precision = 'tf32'",
}
ALL_DIGITS = ["ieee"] * 4 + [False, "highest"]


def switches():
    """What torch says of the digits that are kept; None where its old switches contradict the new."""
    backends = torch.backends
    parts = [backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.mkldnn.conv]
    says = [part.fp32_precision for part in parts]
    for read in (lambda: backends.cudnn.allow_tf32, torch.get_float32_matmul_precision):
        try:
            says.append(read())
        except RuntimeError:
            says.append(None)
    return says


def switches_under_attack():
    """The switches before, at every query, and after."""
    model, seen = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(2)), []
    images, before = torch.rand(4, 1, 6, 6), switches()
    labels = model(images).argmax(1)
    model.register_forward_hook(lambda *_: seen.append(switches()))
    attack(model, images, labels, "fgsm", epsilon=0.1)
    return before, seen, switches()


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_an_attacked_model_keeps_all_digits(asked):
    # In a process of its own: not all that torch can be asked for can be taken back.
    code = f"""
import torch
from test_precision import ALL_DIGITS, switches_under_attack
{asked}
before, seen, after = switches_under_attack()
assert seen and all(each == ALL_DIGITS for each in seen), seen
assert before == after, (before, after)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


def test_images_are_classified_as_they_are_attacked():
    """Many examples lie just beyond a boundary, and rounding would carry them back."""
    model = HybridClassifier(None, None, num_classes=2, input_shape=(1, 8, 8), branch="none")
    seen = []
    model.register_forward_hook(lambda *_: seen.append(switches()))
    model.backbone.register_forward_hook(lambda *_: seen.append(switches()))
    before = switches()
    classify(model, torch.rand(4, 1, 8, 8), batch_size=2)
    assert seen and all(each == ALL_DIGITS for each in seen)
    assert switches() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_examples_are_those_of_the_cpu():
    torch.backends.cudnn.allow_tf32 = True  # torch's default
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Softplus(), nn.Flatten(), nn.LazyLinear(3))
    images = torch.rand(32, 1, 12, 12)
    labels = model(images).argmax(1)
    arguments = {"epsilon": 0.1, "parameters": {"restarts": 1}}
    on_cpu = attack(model, images, labels, "pgd", **arguments)
    model = model.cuda()
    on_gpu = attack(model, images.cuda(), labels.cuda(), "pgd", **arguments)
    alone = attack(model, images, labels, "pgd", **arguments)
    assert torch.equal(on_gpu.fooled, on_cpu.fooled)
    assert torch.equal(alone.fooled, on_cpu.fooled)
    torch.testing.assert_close(on_gpu.median("linf"), on_cpu.median("linf"), atol=1e-5, rtol=0)
