"""One seed for every generator, and the generators' states, so that a run can be stopped and continued."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch
from qiskit_machine_learning.utils import algorithm_globals

State = dict[str, Any]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's global generator, torch (CPU and every GPU) and Qiskit's algorithms.

    Simulators and attacks take their seed as an argument: give them `derive(seed, "aer")`, `derive(seed,
    "attack")`.

    Args:
        seed: In [0, 2**32).
    """
    random.seed(seed)
    np.random.seed(seed)  # the global generator is what ART and scikit-learn draw from
    torch.manual_seed(seed)
    algorithm_globals.random_seed = seed


def derive(seed: int, *names: str | int) -> int:
    """Derive a named child seed, so that two uses of one seed do not draw the same numbers.

    The child is a hash of the seed and the names: the same on every machine, and unchanged when other uses
    come and go.

    Args:
        seed: The parent.
        names: What the child is for, such as "attack", or "image", 17.

    Returns:
        A seed in [0, 2**31).

    >>> derive(0, "attack") == derive(0, "attack") != derive(0, "aer")
    True
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def state() -> State:
    """Take down every generator's state as JSON values, which `torch.load(weights_only=True)` reads too."""
    version, numbers, gauss = random.getstate()
    name, key, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), np.asarray(key).tolist(), int(position), int(has_gauss), float(cached)],
        "torch": _digits(torch.get_rng_state()),
        "cuda": [_digits(one) for one in torch.cuda.get_rng_state_all()],
        "qiskit": [algorithm_globals.random_seed, algorithm_globals.random.bit_generator.state],
    }


def restore(state: State) -> None:
    """Put every generator back into a state that `state()` took down.

    A GPU that was not there then, or is not there now, is passed over.
    """
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, key, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(key, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_bytes(state["torch"]))
    for device, one in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(_bytes(one), device)
    seed, generator = state["qiskit"]
    algorithm_globals.random_seed = seed
    algorithm_globals.random.bit_generator.state = generator


def _digits(state: torch.Tensor) -> str:
    return bytes(state.tolist()).hex()


def _bytes(digits: str) -> torch.Tensor:
    return torch.tensor(list(bytes.fromhex(digits)), dtype=torch.uint8)
