"""Keeping Lightning's banners, tips and warnings about choices of ours out of the terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric", "torch.multiprocessing.spawn")


def silence_lightning() -> None:
    """Let Lightning report errors only, in this process and for good."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torchmetrics")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Let Lightning report errors only, for a while."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        with warnings.catch_warnings():
            silence_lightning()
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
