"""On what terms jobs are sent to a device that costs money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qshield_qiskit.devices.jobs.cost import Cost


@dataclass(frozen=True)
class Terms:
    """On what terms jobs are sent to a device that costs money.

    Attributes:
        purpose: What they are for, such as a run's folder; the budget counts the jobs of one purpose on one device.
        fresh: Ask again for what the ledger has.
        confirm: Told what jobs cost before the first one is sent, and again when that has doubled, it says whether
            to; None sends them.
        say: Takes a line on everything worth knowing.
    """

    purpose: str = ""
    fresh: bool = False
    confirm: Callable[[Cost], bool] | None = None
    say: Callable[[str], None] = field(default=lambda line: None)
