"""All digits of single precision, whatever the process has allowed torch to round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Value = TypeVar("Value")


@contextmanager
def full_precision() -> Iterator[None]:
    """Let convolutions and products keep all digits of single precision for a while.

    By default a GPU rounds what a convolution multiplies to ten bits (TF32), and products too where the process asked
    for it, a CPU's even to seven: by more than certificates allow for, and than gradients to pixels can spare.
    """
    backends = torch.backends
    parts: list[Any] = [
        getattr(room, operation)
        for room in (backends.cuda, backends.cudnn, backends.mkldnn)
        for operation in ("matmul", "conv", "rnn")
        if hasattr(room, operation)
    ]
    before = [part.fp32_precision for part in parts]
    # torch has two sets of switches, and refuses to read the old ones where they contradict the new.
    convolutions = _readable(lambda: bool(backends.cudnn.allow_tf32))
    products = _readable(torch.get_float32_matmul_precision)

    def switch(convolutions: bool | None, products: str | None, each: list[str]) -> None:
        if convolutions is not None:
            backends.cudnn.allow_tf32 = convolutions
        if products is not None:
            torch.set_float32_matmul_precision(products)
        for part, precision in zip(parts, each, strict=True):
            part.fp32_precision = precision

    switch(False, "highest", ["ieee"] * len(parts))
    try:
        yield
    finally:
        switch(convolutions, products, before)


def _readable(read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except RuntimeError:
        return None
