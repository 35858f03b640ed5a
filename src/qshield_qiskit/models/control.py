"""The parameter-matched classical control: what a hybrid is worth shows against a network of its size."""

from __future__ import annotations

from torch import nn

from qshield_qiskit.quantum.template import CircuitTemplate


class ControlLayer(nn.Sequential):
    """One hidden tanh layer in the circuit's place: (B, num_inputs) angles to (B, num_outputs) in (-1, 1).

    Args:
        num_inputs: Number of angles, as the circuit takes.
        num_outputs: Number of hidden units, from `matched_units`.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(nn.Linear(num_inputs, num_outputs), nn.Tanh())
        self.num_inputs = num_inputs
        self.num_outputs = num_outputs


def matched_units(template: CircuitTemplate, num_classes: int) -> int:
    r"""Choose the hidden units h that give the control as many parameters as the hybrid.

    Circuit and readout have W + (O + 1) K parameters (W weights, O outcomes, K classes); h units between I
    angles and K classes have h (I + 1) + (h + 1) K. All else is shared, so h = round((W + O K) / (I + 1 +
    K)), at least 1.

    Args:
        template: The circuit that is replaced.
        num_classes: Number of classes K.

    Returns:
        Number of hidden units.
    """
    quantum = template.num_weights + template.num_outputs * num_classes
    return max(1, round(quantum / (template.num_inputs + 1 + num_classes)))
