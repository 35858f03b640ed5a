"""A model as ART wants it, without what makes ART's own wrapper slow."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from numpy.typing import NDArray
from torch import Tensor, nn

from qshield_qiskit.robustness.attacked_model import AttackedModel, predict

Images = NDArray[np.float32]
"""(B, C, H, W), [0, 1]."""

BOUNDS = (0.0, 1.0)
"""Smallest and largest pixel value."""


class Victim(PyTorchClassifier):  # type: ignore[misc]
    """ART's view of a model.

    ART predicts through a data loader and takes one backward pass for every class that occurs in a batch; here
    it is one tensor and one pass, which makes its C&W ten times faster.

    Args:
        model: The model to attack.
        input_shape: (C, H, W).
        num_classes: K.
        batch_size: Most images in a forward pass.
    """

    def __init__(
        self,
        model: AttackedModel,
        input_shape: tuple[int, ...],
        num_classes: int,
        *,
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model=model,
            loss=nn.CrossEntropyLoss(),
            input_shape=input_shape,
            nb_classes=num_classes,
            clip_values=BOUNDS,
            device_type="gpu" if model.device.type == "cuda" else "cpu",
        )
        self._device = model.device  # ART knows "gpu" and "cpu" only
        self._model.to(model.device)
        self.batch_size = batch_size

    def predict(self, x: Any, batch_size: int = 128, **ignored: Any) -> NDArray[np.float32]:
        """Give the logits (B, K) of images, whatever their precision.

        Decision-based attacks hand over float64.
        """
        images = torch.as_tensor(np.asarray(x, dtype=np.float32))
        return cast("NDArray[np.float32]", predict(self.model, images, self.batch_size).float().numpy())

    def class_gradient(self, x: Images, label: Any = None, **ignored: Any) -> NDArray[np.float32]:
        """Differentiate logits by pixels.

        Args:
            x: Images.
            label: A class, a class for each image, or None for all classes.

        Returns:
            (B, 1, C, H, W), or (B, K, C, H, W) for all classes.
        """
        images = torch.as_tensor(np.asarray(x, dtype=np.float32)).to(self.device).requires_grad_()
        logits: Tensor = self.model(images)
        if label is None:
            chosen = list(logits.sum(0))
        else:
            classes = torch.as_tensor(np.broadcast_to(label, len(images)).copy()).to(logits.device)
            chosen = [logits.gather(1, classes.long()[:, None]).sum()]
        gradients = [torch.autograd.grad(each, images, retain_graph=True)[0] for each in chosen]
        return cast("NDArray[np.float32]", torch.stack(gradients, dim=1).cpu().numpy())


class SteepVictim(Victim):
    """A view whose gradients of the loss are as large as single precision can square, for steps in L2.

    Where a model is sure, they are 1e-20 and less: ART's norm of them is 0, and its step none.
    """

    def loss_gradient(self, *args: Any, **kwargs: Any) -> Any:
        """Give each image's gradient over its largest entry, (B, C, H, W); an array, or a tensor to a tensor."""
        given = super().loss_gradient(*args, **kwargs)
        gradient = torch.as_tensor(given)
        largest = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
        steep = gradient / torch.where(largest > 0, largest, 1)
        return steep if isinstance(given, Tensor) else steep.numpy()
