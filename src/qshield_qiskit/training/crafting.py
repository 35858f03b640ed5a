"""Perturbations for training: go uphill along the sign of the gradient, stay in the ball and in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn


def ascend(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    start: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
) -> Tensor:
    r"""Maximise a loss in the ball \|x' - x\|_\infty \le \epsilon by projected steps along the gradient's sign.

    Args:
        loss: From images (B, C, H, W) to one number, the sum of the images' losses.
        images: x, (B, C, H, W), [0, 1].
        start: First x', (B, C, H, W).
        epsilon: Radius, in pixel values.
        step_size: Length of a step, in pixel values.
        steps: Number of steps.

    Returns:
        The last x', (B, C, H, W), in the ball and in [0, 1].

    References:
        Madry et al., "Towards deep learning models resistant to adversarial attacks", arXiv 1706.06083 (2017).
    """
    with torch.inference_mode(False), torch.enable_grad():
        images, found = images.clone(), start.clone()  # whatever was born in inference mode has no gradient
        low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
        for _ in range(steps):
            found.requires_grad_()
            with _wide_enough(found.device.type):
                (gradient,) = torch.autograd.grad(loss(found), found)
            found = project(found.detach() + step_size * gradient.sign(), low, high)
    return project(found, low, high)


def _wide_enough(device_type: str) -> AbstractContextManager[object]:
    """Leave float16, whose smallest number is larger than the gradient of a confident prediction."""
    if torch.is_autocast_enabled(device_type) and torch.get_autocast_dtype(device_type) == torch.float16:
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def project(images: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Move every pixel to the nearest value between its bounds."""
    return torch.minimum(torch.maximum(images, low), high)


def random_point(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Draw a point of each image's ball, uniformly, and cut it off at [0, 1]."""
    noise = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return (images + epsilon * (2 * noise - 1)).clamp(0, 1)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode with fixed weights for a while.

    In eval mode perturbations are found for the model that will be used: without dropout, with an image's
    prediction its own affair, and without feeding half-made perturbations to batch norm's running statistics.
    Fixed weights let the quantum layer keep all that follows its last input as one matrix for all the steps.
    """
    modes = [(module, module.training) for module in model.modules()]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter in trained:
            parameter.requires_grad_()
