"""Projections: how the values that an image is described by become the circuit's angles."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from qshield_qiskit.errors import InputError, unknown

START = 0.1  # scale of the trained projection's first weights


class TrainedProjection(nn.Sequential):
    """Layer norm and a trained linear map, (B, num_values) to (B, num_inputs); it starts small.

    Small angles are where the circuit is close to linear. With torch's own start they spread over several
    radians, outcomes are a rugged function of the features, and a quantum branch on its own stays at half the
    accuracy that it reaches from here.
    """

    def __init__(self, num_values: int, num_inputs: int) -> None:
        linear = nn.Linear(num_values, num_inputs)
        with torch.no_grad():
            linear.weight.mul_(START)
            linear.bias.mul_(START)
        super().__init__(nn.LayerNorm(num_values), linear)


class RandomExpansion(nn.Module):
    """The published code's projection: a semi-orthogonal matrix that is drawn afresh at every forward.

    It has nothing to train and nothing to save. Because every call draws from torch's global generator, in
    eval mode too, the same images twice give two predictions. It is here to be diagnosed; leave it alone for
    anything else.

    Raises:
        InputError: There are more values than angles.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026), and its published code.
    """

    def __init__(self, num_values: int, num_inputs: int) -> None:
        super().__init__()
        if num_values > num_inputs:
            raise InputError(
                f"model.projection=random_expansion cannot expand {num_values} values to {num_inputs} angles; "
                "try model.features=logits, more qubits or model.projection=trained"
            )
        self.num_inputs = num_inputs

    def forward(self, values: Tensor) -> Tensor:
        """Standardise each image's values and expand them.

        Args:
            values: (B, num_values).

        Returns:
            (B, num_inputs); each row has the norm of its standardised values, at most sqrt(num_values).
        """
        num_values = values.shape[-1]
        standardised = layer_norm(values, (num_values,))
        # QR of a Gaussian matrix: its columns are orthonormal, and uniformly distributed
        expansion = nn.init.orthogonal_(values.new_empty(self.num_inputs, num_values))
        return standardised @ expansion.T


PROJECTIONS: dict[str, type[nn.Module]] = {
    "trained": TrainedProjection,
    "random_expansion": RandomExpansion,
}


def build_projection(name: str, num_values: int, num_inputs: int) -> nn.Module:
    """Make the projection of that name, from (B, num_values) to (B, num_inputs).

    Raises:
        InputError: An unknown name, or numbers that do not suit it.
    """
    if name not in PROJECTIONS:
        raise unknown("projection", name, PROJECTIONS)
    return PROJECTIONS[name](num_values, num_inputs)
