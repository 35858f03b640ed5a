"""`python -m qshield_qiskit` is `qshield`."""

from qshield_qiskit.cli import main

if __name__ == "__main__":
    main()
