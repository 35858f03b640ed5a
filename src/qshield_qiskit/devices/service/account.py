"""Whether this machine knows an IBM Quantum account, without contacting anybody."""

from __future__ import annotations

import os
from pathlib import Path

from qiskit_ibm_runtime import QiskitRuntimeService

SAVED = Path("~/.qiskit/qiskit-ibm.json")
"""Where `QiskitRuntimeService.save_account` keeps accounts."""


def account_source() -> str | None:
    """Tell where the account comes from, never what it holds.

    Returns:
        "QISKIT_IBM_TOKEN", or the saved accounts' file and names, or None without an account.

    Raises:
        ValueError: The file of saved accounts is broken.
    """
    if os.environ.get("QISKIT_IBM_TOKEN"):
        return "QISKIT_IBM_TOKEN"
    if not SAVED.expanduser().exists():
        return None  # asking for the accounts would make the file
    names = sorted(QiskitRuntimeService.saved_accounts())
    return f"{SAVED} ({', '.join(names)})" if names else None
