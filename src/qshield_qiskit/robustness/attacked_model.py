"""What an attack sees of a model: logits, averaged over the model's randomness, with every query counted."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.functional import log_softmax

from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.budget import QueriesSpent, Watch


class AttackedModel(nn.Module):
    r"""Wrap a classifier for an attack.

    With `eot` draws (expectation over transformation) logits and gradients are those of the expected
    prediction, \log \frac{1}{T} \sum_t p_t(x), each draw a forward pass of its own. With a `differentiable`
    stand-in (BPDA) values are the model's own and gradients are the stand-in's at the same images.

    Args:
        model: The classifier, images (B, C, H, W) to logits (B, K).
        eot: Number of draws T, at least 1.
        differentiable: A model to differentiate in place of the classifier, such as the same one on an exact
            simulator.
        max_queries: Images that may go through the classifier, every draw counted; None for any number.

    Attributes:
        queries: Images that went through the classifier so far, every draw counted.
        gradients: Images for which a gradient was taken so far, every draw counted.
        watch: Sees every image and what the model made of it, if there is one.
        follows: Whether gradients, where they were asked for, reached the images. Where none do, they are zero.

    References:
        Athalye et al., "Obfuscated gradients give a false sense of security", arXiv 1802.00420 (2018).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        eot: int = 1,
        differentiable: nn.Module | None = None,
        max_queries: int | None = None,
    ) -> None:
        super().__init__()
        if eot < 1:
            raise InputError(f"eot={eot}: expected 1 draw or more")
        self.model = model
        self.differentiable = differentiable
        self.eot = eot
        self.max_queries = max_queries
        self.watch: Watch | None = None
        self.queries = 0
        self.gradients = 0
        self.follows = True
        reference = next(iter([*model.parameters(), *model.buffers()]), torch.zeros(0))
        self.device = reference.device
        self.dtype = reference.dtype if reference.is_floating_point() else torch.float32

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of images (B, C, H, W) in [0, 1], cast to the model's precision: (B, K).

        Raises:
            InputError: The model gives something else than a tensor.
            QueriesSpent: These would be more queries than there may be.
        """
        images = images.to(self.device, self.dtype)
        if self.max_queries is not None and self.queries + len(images) * self.eot > self.max_queries:
            raise QueriesSpent(
                f"attack.max_queries={self.max_queries} is spent; go on with a larger one, or attack fewer images"
            )
        draws = [self._draw(images) for _ in range(self.eot)]
        logits = draws[0] if self.eot == 1 else expected_prediction(draws)
        self.queries += len(images) * self.eot
        if self.watch is not None:
            self.watch.look(images, logits)
        if _asks_for_gradients(images) and not _depends(logits, images):
            self.follows = False
            logits = logits + 0 * images.sum().to(logits)
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]
        return logits

    def repeats_itself(self, images: Tensor) -> bool:
        """Say whether the model gives the same images (B, C, H, W) the same logits when asked again."""
        with torch.no_grad():
            return torch.equal(self(images), self(images))

    def _draw(self, images: Tensor) -> Tensor:
        if self.differentiable is None or not _asks_for_gradients(images):
            return _tensor(self.model(images))
        with torch.no_grad():
            logits = _tensor(self.model(images))
        followed = _tensor(self.differentiable(images))
        return logits + (followed - followed.detach())

    def _count(self, gradient: Tensor) -> None:
        self.gradients += len(gradient) * self.eot


def expected_prediction(draws: list[Tensor]) -> Tensor:
    """Average predictions over draws of a random model.

    Args:
        draws: Logits, each (B, K).

    Returns:
        Logarithms of the mean probabilities, (B, K).
    """
    return torch.logsumexp(log_softmax(torch.stack(draws), dim=-1), dim=0) - math.log(len(draws))


def predict(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Give the logits of images (N, C, H, W), (N, K), without gradients, on the CPU and in order."""
    with torch.no_grad():
        return torch.cat([model(part).cpu() for part in torch.split(images, batch_size)])


def _tensor(answer: object) -> Tensor:
    """Give a model's answer, if it is logits alone."""
    if not isinstance(answer, Tensor):
        raise InputError(
            f"the model answers with a {type(answer).__name__}: expected a tensor of logits (B, K) and nothing else"
        )
    return answer


def _asks_for_gradients(images: Tensor) -> bool:
    return images.requires_grad and torch.is_grad_enabled()


def _depends(logits: Tensor, images: Tensor) -> bool:
    """Say whether autograd has a path from logits back to the images; frozen weights in a list are another one's."""
    if logits.grad_fn is None:
        return logits is images
    goal = get_gradient_edge(images).node
    seen, waiting = {logits.grad_fn}, [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is goal:
            return True
        new = {below for below, _ in node.next_functions if below is not None} - seen
        seen |= new
        waiting += new
    return False
