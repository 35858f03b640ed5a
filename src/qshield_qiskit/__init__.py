"""Train, attack and honestly judge hybrid quantum-classical image classifiers in Qiskit."""
