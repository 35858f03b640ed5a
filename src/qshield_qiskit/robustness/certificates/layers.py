"""Bounds through the layers of a backbone, each by the rule of its kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, ResNet

from qshield_qiskit.models.dnn import DNN
from qshield_qiskit.models.resnet18 import ResNet18
from qshield_qiskit.models.small_cnn import SmallCNN
from qshield_qiskit.robustness.certificates.affine_form import AffineForm
from qshield_qiskit.robustness.certificates.certificate import DoesNotApplyError
from qshield_qiskit.robustness.certificates.window import Window

Rule = Callable[[Any, AffineForm], AffineForm]


def through(module: nn.Module, form: AffineForm) -> AffineForm:
    """Bound what a module in eval mode makes of bounded values.

    Raises:
        DoesNotApplyError: A layer is of a kind that has no rule here.
    """
    rule = RULES.get(type(module))
    if rule is None:
        raise DoesNotApplyError(f"there is no bound for a layer of type {type(module).__name__}")
    return rule(module, form)


def in_turn(*modules: nn.Module, form: AffineForm) -> AffineForm:
    """Go through one module after the other."""
    for module in modules:
        form = through(module, form)
    return form


def _sequential(module: nn.Sequential, form: AffineForm) -> AffineForm:
    return in_turn(*module, form=form)


def _linear(module: nn.Linear, form: AffineForm) -> AffineForm:
    bias = None if module.bias is None else module.bias.double()
    return form.linear(functional.linear, module.weight.double(), bias)


def _convolution(module: nn.Conv2d, form: AffineForm) -> AffineForm:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise DoesNotApplyError(
            f"there is no bound for a convolution with padding {module.padding_mode} {module.padding}"
        )
    settings: dict[str, Any] = {
        "stride": module.stride,
        "padding": module.padding,
        "dilation": module.dilation,
        "groups": module.groups,
    }
    bias = None if module.bias is None else module.bias.double()[:, None, None]
    weight = module.weight.double().contiguous()
    return form.linear(partial(functional.conv2d, **settings), weight, bias, _window(module))


def _window(module: nn.Conv2d) -> Window | None:
    """Say what one value depends on, if that is the same down and across."""
    paddings = cast("tuple[int, ...]", module.padding)
    each = zip(module.kernel_size, module.stride, paddings, module.dilation, strict=True)
    sides = {Window(1 + (size - 1) * dilation, stride, padding) for size, stride, padding, dilation in each}
    return sides.pop() if len(sides) == 1 else None


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, form: AffineForm) -> AffineForm:
    if module.running_mean is None or module.running_var is None:
        raise DoesNotApplyError(
            "a batch norm without running statistics makes one image's logits depend on others"
        )
    scale = (module.running_var.double() + module.eps).rsqrt()
    scale = scale if module.weight is None else scale * module.weight.double()
    shift = -module.running_mean.double() * scale
    shift = shift if module.bias is None else shift + module.bias.double()
    places = (1,) * (form.centre.ndim - 1)
    return form.scaled(scale.reshape(-1, *places), shift.reshape(-1, *places))


def _max_pool(module: nn.MaxPool2d, form: AffineForm) -> AffineForm:
    size, stride, padding, dilation = (
        value if isinstance(value, int) else value[0]
        for value in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    if dilation != 1 or module.ceil_mode:
        raise DoesNotApplyError("there is no bound for a max pooling with dilation or ceil_mode")
    return form.max_pool(Window(size, stride, padding))


def _average(module: nn.AdaptiveAvgPool2d, form: AffineForm) -> AffineForm:
    if module.output_size not in {1, (1, 1)}:
        raise DoesNotApplyError(f"there is no bound for an average pooling to {module.output_size}")
    return form.mean()


def _basic_block(module: BasicBlock, form: AffineForm) -> AffineForm:
    inside = in_turn(module.conv1, module.bn1, module.relu, module.conv2, module.bn2, form=form)
    skip = form if module.downsample is None else through(module.downsample, form)
    return inside.plus(skip).relu()


def _resnet(module: ResNet, form: AffineForm) -> AffineForm:
    stem = (module.conv1, module.bn1, module.relu, module.maxpool)
    form = in_turn(
        *stem, module.layer1, module.layer2, module.layer3, module.layer4, module.avgpool, form=form
    )
    return through(module.fc, form)


def _standardised(module: ResNet18, form: AffineForm) -> AffineForm:
    mean, std = module.mean.double(), module.std.double()
    return through(module.network, form.scaled(1 / std, -mean / std))


def _same(module: nn.Module, form: AffineForm) -> AffineForm:
    return form


RULES: dict[type[nn.Module], Rule] = {
    nn.Sequential: _sequential,
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.MaxPool2d: _max_pool,
    nn.AdaptiveAvgPool2d: _average,
    nn.ReLU: lambda module, form: form.relu(),
    nn.Tanh: lambda module, form: form.tanh(),
    nn.Flatten: lambda module, form: form.flatten(),
    nn.Dropout: _same,
    nn.Identity: _same,
    BasicBlock: _basic_block,
    ResNet: _resnet,
    ResNet18: _standardised,
    SmallCNN: lambda module, form: in_turn(module.stages, module.mix, form=form),
    DNN: lambda module, form: through(module.layers, form),
}
"""By the type of a module; dropout does nothing in eval mode, and average pooling leaves a vector behind."""
