"""How a process begins that a test interrupts: a suite in the background ignores Ctrl-C, and so would its children."""

HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
COMMAND = HEARING + "from qshield_qiskit.cli import main; main()"
"""The command `qshield`, for `python -c`."""
