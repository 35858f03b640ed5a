"""Backbones: shapes, the paper's widths, the adapted stem, and errors that end the conversation."""

import pytest
import torch
import torchvision
from torch import nn

from qshield_qiskit.errors import InputError
from qshield_qiskit.models.backbones import BACKBONES, build_backbone
from qshield_qiskit.models.resnet18 import IMAGENET_MEAN, ResNet18

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 32, 32), (1, 9, 31), (3, 64, 64), (1, 8, 128)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_describes_every_shape(name, shape):
    backbone = build_backbone(name, shape).eval()
    features = backbone(torch.rand(2, *shape))
    assert features.shape == (2, backbone.num_features)
    assert (features[0] - features[1]).abs().max() > 0  # two images, two descriptions


@pytest.mark.parametrize("name", BACKBONES)
def test_features_are_differentiable_in_double_precision(name):
    backbone = build_backbone(name, (1, 8, 8)).double().eval()
    images = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(backbone(images).sum(), images)
    assert gradient.dtype == torch.float64
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((1, 28, 28), [512, 256, 128]),
        ((3, 32, 32), [1024, 512, 256, 128]),
        ((1, 8, 8), [256, 128]),
        ((1, 1, 13), [256, 128]),
    ],
)
def test_dnn_has_the_papers_widths(shape, widths):
    layers = build_backbone("dnn", shape).modules()
    assert [layer.out_features for layer in layers if isinstance(layer, nn.Linear)] == widths


def test_dnn_serves_tables():
    backbone = build_backbone("dnn", (1, 1, 13)).eval()
    assert backbone(torch.rand(4, 1, 1, 13)).shape == (4, 128)


def test_one_channel_stem_is_the_average_over_colours():
    torch.manual_seed(0)
    colour = torchvision.models.resnet18().conv1.weight
    torch.manual_seed(0)
    gray = ResNet18((1, 28, 28)).network.conv1.weight
    assert torch.equal(gray, colour.mean(dim=1, keepdim=True))


def test_imagenet_weights_are_read_from_torchs_cache_with_their_standardisation(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    weights = torchvision.models.resnet18().state_dict()
    torch.save(weights, cache / "resnet18-f37072fd.pth")
    backbone = ResNet18((3, 32, 32), pretrained=True)
    assert torch.equal(backbone.network.conv1.weight, weights["conv1.weight"])
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor(IMAGENET_MEAN))
    assert torch.equal(ResNet18((3, 32, 32)).mean, torch.zeros(3, 1, 1))


def test_imagenet_weights_offline_say_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr("urllib.request._opener", None)  # made at its first use, it would know no proxy
    with pytest.raises(InputError, match=r"refused.*resnet18-f37072fd\.pth.*checkpoints.*pretrained=false"):
        build_backbone("resnet18", (1, 28, 28), pretrained=True)


@pytest.mark.parametrize(
    ("name", "shape", "pretrained", "line"),
    [
        ("small_cn", (1, 8, 8), False, "did you mean small_cnn"),
        ("small_cnn", (1, 1, 13), False, "1x13.*at least 8x8.*dnn"),
        ("resnet18", (4, 28, 28), False, "4 channels, expected 1 or 3"),
        ("dnn", (1, 28, 28), True, "no pretrained weights.*resnet18"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(name, shape, pretrained, line):
    with pytest.raises(InputError, match=line) as caught:
        build_backbone(name, shape, pretrained=pretrained)
    assert "\n" not in str(caught.value)
