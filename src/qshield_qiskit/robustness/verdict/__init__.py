"""`verdict`: may a robustness figure be believed? Fourteen checks on a model, of which the hard ones decide."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacking import check_images
from qshield_qiskit.robustness.undisturbed import seeded, undisturbed
from qshield_qiskit.robustness.verdict.ablation import ablation
from qshield_qiskit.robustness.verdict.active import active_test
from qshield_qiskit.robustness.verdict.alternatives import black_box, transfer
from qshield_qiskit.robustness.verdict.check import CLEAR, MASKING, SUSPECT, Check, decide, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import FULL, QUICK, Evidence
from qshield_qiskit.robustness.verdict.gradients import gradient_correctness, gradient_path, zero_gradients
from qshield_qiskit.robustness.verdict.stability import batch_invariance, determinism
from qshield_qiskit.robustness.verdict.strength import (
    budget,
    indicators,
    ladder,
    minimum_norm_agreement,
    unbounded,
)

__all__ = ["CHECKS", "CLEAR", "MASKING", "SUSPECT", "Check", "decide", "verdict"]

CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    determinism,
    batch_invariance,
    gradient_path,
    gradient_correctness,
    zero_gradients,
    ladder,
    budget,
    unbounded,
    black_box,
    transfer,
    minimum_norm_agreement,
    ablation,
    active_test,
    indicators,
)


def verdict(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    eot: int = 1,
    seed: int = 0,
    batch_size: int = 256,
    quick: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Judge whether robustness figures of a classifier may be believed.

    It never says that a model is robust: "masking detected" if a hard check fails, "suspect" if another one
    does, else "no masking detected". The model is left as it was.

    Args:
        model: Any classifier, images (B, C, H, W) in [0, 1] to logits (B, K).
        images: (N, C, H, W), [0, 1]; 100 are plenty.
        labels: (N,).
        epsilon: Radius that the figures are about, in the sup norm and in (0, 1].
        eot: Draws with which a random model's figures were taken.
        seed: Of every attack, in [0, 2**32).
        batch_size: Images in a forward pass, at least 1.
        quick: Weaker attacks, on fewer images, for a first answer.
        progress: Called with a check's name before it starts, its number and the number of checks.

    Returns:
        What verdict.json holds: `verdict`, `checks` (each `name, hard, passed, figure, threshold, says`;
        `passed` is None where a check does not apply), `epsilon`, `eot`, `n`, `seed`, `quick`, `seconds`.

    Raises:
        InputError: Images outside [0, 1], another argument out of range, a model that gives no logits, or no image
            that is classified correctly.

    References:
        Carlini et al., "On evaluating adversarial robustness", arXiv 1902.06705 (2019).
        Athalye et al., "Obfuscated gradients give a false sense of security", arXiv 1802.00420 (2018).
        Tramer et al., "On adaptive attacks to adversarial example defenses", arXiv 2002.08347 (2020).
    """
    if not images.is_floating_point():
        raise InputError(
            f"images of {images.dtype}: expected floating-point numbers in [0, 1]; try images.float()"
        )
    check_images(images, labels)
    labels = labels.long()
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: expected 1 image or more")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed}: expected at least 0 and less than 2**32")
    if not 0 < epsilon <= 1:
        raise InputError(f"epsilon={epsilon}: expected more than 0 and at most 1, in pixel values; try 8/255")
    start = time.perf_counter()
    effort = QUICK if quick else FULL
    evidence = Evidence(model, images, labels, epsilon, eot, seed, batch_size, effort)
    checks = []
    with undisturbed(model), seeded(seed), torch.inference_mode(False), torch.enable_grad():
        if not evidence.correct.any():
            raise InputError(
                f"none of the {len(labels)} images is classified correctly: nothing to attack; is the model trained?"
            )
        for number, check in enumerate(CHECKS):
            if progress is not None:
                progress(check.__name__, number, len(CHECKS))
            checks.append(check(evidence))
    checks.append(does_not_apply("reporting", "this is one model; a table is checked where it is made"))
    return {
        "verdict": decide(checks),
        "checks": [asdict(check) for check in checks],
        "epsilon": epsilon,
        "eot": eot,
        "n": len(labels),
        "seed": seed,
        "quick": quick,
        "seconds": time.perf_counter() - start,
    }
