"""Writes a run folder as attacks and the verdict leave it, without training or attacking anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qshield_qiskit.config import load_settings
from qshield_qiskit.intervals import wilson_interval

BALLS = [("fgsm", "linf", 0.1, 0.5), ("pgd", "linf", 0.1, 0.8), ("apgd", "l2", 1.0, 0.6)]
CURVE = [("pgd", "linf", epsilon, 8 * epsilon) for epsilon in (0.02, 0.05, 0.15)]
MINIMUM = [("deepfool", "l2", None, 0.9), ("cw", "l2", None, 1.0)]
WORST = [("worst_case", "linf", 0.1, 0.85)]


def write_run(
    path,
    attacks=(*BALLS, *CURVE, *MINIMUM, *WORST),
    *,
    seed=0,
    n=60,
    images=None,
    labels=None,
    hybrid=True,
    verdict="no masking detected",
    experiment="digits",
    backend="aer_noisy",
    dotted=(),
):
    """Write a run in which each attack fools about the wanted share of the images that are classified correctly."""
    path = Path(path)
    path.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    images = generator.random((n, 1, 8, 8), np.float32) if images is None else images[:n]
    (path / "config.yaml").write_text(load_settings(experiment, [f"seed={seed}", *dotted]).to_yaml())
    label = generator.integers(0, 10, n) if labels is None else labels[:n]
    correct = generator.random(n) < 0.95
    strength = generator.random(n)  # how hard an image is to fool
    items = []
    for attack, norm, epsilon, share in attacks:
        fooled = correct & (strength < share)
        items.append(
            _row(
                path, attack, norm, epsilon, fooled, correct, label, images, generator, hybrid, seed, backend
            )
        )
    (path / "robustness.json").write_text(json.dumps(items))
    right = int(correct.sum())
    low, high = wilson_interval(right, n)
    metrics = {"odr": right / n, "odr_low": low, "odr_high": high, "n": n, "seed": seed, "parameters": 1000}
    (path / "metrics.json").write_text(json.dumps(metrics))
    environment = {
        "python": "3.11.7",
        "versions": {"torch": "2.8.0"},
        "commit": "abc",
        "gpu": None,
        "threads": 1,
    }
    (path / "environment.json").write_text(json.dumps(environment))
    if verdict is not None:
        (path / "verdict.json").write_text(json.dumps(_verdict(verdict, n, seed)))
    return path


def _row(path, attack, norm, epsilon, fooled, correct, label, images, generator, hybrid, seed, backend):
    n, key = len(label), f"{attack}-{norm}-{epsilon}"
    size = 0.1 if epsilon is None or norm != "linf" else epsilon
    small = 0.3 * generator.random(n).astype(np.float32) + 0.7
    noise = generator.choice(np.float32([-1, 1]), images.shape) * (size * small)[:, None, None, None]
    adversarial = np.clip(images + noise, 0, 1)
    difference = (adversarial - images).reshape(n, -1)
    norms = {
        "l0": (difference != 0).sum(1).astype(np.float32),
        "l2": np.sqrt((difference**2).sum(1)),
        "linf": np.abs(difference).max(1),
    }
    norms = {name: np.where(correct, values, np.nan).astype(np.float32) for name, values in norms.items()}
    clean = np.where(correct, label, (label + 1) % 10)
    after = np.where(fooled, (label + 3) % 10, clean)
    weights = {}
    if hybrid:
        weight = generator.beta(4, 6, n).astype(np.float32)
        attacked = np.where(correct, np.clip(weight + 0.2 * fooled, 0, 1), np.nan).astype(np.float32)
        weights = {"weight_clean": weight, "weight_adversarial": attacked}
    for folder in ("outcomes", "adversarial"):
        (path / folder).mkdir(exist_ok=True)
    np.savez(
        path / "outcomes" / f"{key}.npz",
        index=np.arange(n),
        label=label,
        clean=clean,
        adversarial=after,
        correct=correct,
        fooled=fooled,
        **({} if attack == "worst_case" else norms | weights),
    )
    chosen = np.argsort(~fooled, kind="stable")[:8]
    if attack != "worst_case":
        np.savez(
            path / "adversarial" / f"{key}.npz",
            index=chosen,
            label=label[chosen],
            clean=images[chosen],
            adversarial=adversarial[chosen],
            clean_prediction=clean[chosen],
            adversarial_prediction=after[chosen],
        )
    low, high = wilson_interval(int(fooled.sum()), int(correct.sum()))
    medians = {
        f"median_{name}": float(np.median(values[fooled])) if fooled.any() else None
        for name, values in norms.items()
    }
    asr = float(fooled.sum() / correct.sum())
    return {
        "attack": attack,
        "norm": norm,
        "epsilon": epsilon,
        "backend": backend,
        "attacked": int(correct.sum()),
        "fooled": int(fooled.sum()),
        "asr": asr,
        "asr_own": asr,
        "asr_low": low,
        "asr_high": high,
        "robust_accuracy": float((correct & ~fooled).sum() / n),
        "n": n,
        "image_set": "0123abcd",
        **medians,
        "queries": 41.0,
        "gradients": 40.0,
        "seconds": 2.5,
        "seconds_per_image": 2.5 / n,
        "parameters": {"steps": 40, "restarts": 1},
        "seed": seed,
        "eot": 1,
        "target": None,
        "source": None,
        "outcomes": f"outcomes/{key}.npz",
        "weak": "1 step of 0.1 stays at a corner of the ball" if attack == "fgsm" else None,
    }


def _verdict(words, n, seed):
    bad = words != "no masking detected"
    checks = [
        ("zero_gradients", True, True, 0.0, 0.01, "0 of 60 images have a gradient of exactly zero."),
        ("ladder", True, not bad, 0.3, 0.0, "PGD fools 30 points more than FGSM."),
        (
            "unbounded",
            True,
            True,
            1.0,
            "at least 0.99",
            "A ball without bound fools all.",
        ),
        ("black_box", False, not bad, -0.12, 0.0, "Square fools 12 points fewer."),
        (
            "determinism",
            False,
            None,
            None,
            None,
            "The circuit is exact, so there is no sampling.",
        ),
    ]
    names = ("name", "hard", "passed", "figure", "threshold", "says")
    return {
        "verdict": words,
        "checks": [dict(zip(names, check, strict=True)) for check in checks],
        "epsilon": 0.1,
        "n": n,
        "eot": 1,
        "seed": seed,
        "quick": False,
        "seconds": 12.3,
    }
