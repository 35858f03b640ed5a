"""What gradient attacks raise: differences of logits that neither saturate nor go flat where an attack has to climb."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SPREAD = 1e-12
"""Logits that are closer together than this are told apart no further."""


def log_odds_against(logits: Tensor, classes: Tensor) -> Tensor:
    r"""Give \log \sum_{i \ne y} e^{z_i} - z_y.

    Cross entropy is \log(1 + e^.) of it, so that its gradient has the same direction and its values the same order; but
    in single precision cross entropy is 0 from a lead of 17 on, and says nothing any more.

    Args:
        logits: (B, K).
        classes: (B,).

    Returns:
        (B,).
    """
    own = logits.gather(1, classes[:, None]).squeeze(1)
    return logits.scatter(1, classes[:, None], -torch.inf).logsumexp(dim=1) - own


def logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Give the DLR loss, -(z_y - \max_{i \ne y} z_i) / (z_{\pi_1} - z_{\pi_3}), which knows no scale and no shift.

    Args:
        logits: (B, K), K >= 3.
        labels: (B,), the classes y to leave.

    Returns:
        (B,).

    References:
        Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
        parameter-free attacks", arXiv 2003.01690 (2020), eq. 6.
    """
    ordered = logits.sort(dim=1, descending=True).values
    own = logits.gather(1, labels[:, None]).squeeze(1)
    other = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return (other - own) / (ordered[:, 0] - ordered[:, 2]).clamp_min(LEAST_SPREAD)


def targeted_logits_ratio(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    r"""Give the targeted DLR loss, -(z_y - z_t) / (z_{\pi_1} - (z_{\pi_3} + z_{\pi_4}) / 2).

    Of three classes it is the numerator alone: there is no fourth logit, and over the third the ratio is constant
    wherever the target is the least likely class.

    Args:
        logits: (B, K), K >= 3.
        labels: (B,), the classes y to leave.
        targets: (B,), the classes t to arrive at.

    Returns:
        (B,).

    References:
        Croce and Hein, arXiv 2003.01690 (2020), eq. 7.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    target = logits.gather(1, targets[:, None]).squeeze(1)
    if logits.shape[1] == 3:
        return target - own
    ordered = logits.sort(dim=1, descending=True).values
    spread = ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2
    return (target - own) / spread.clamp_min(LEAST_SPREAD)
