"""The figures that Azimi et al., "QShield", arXiv 2604.10933 (2026), published, and ours beside them."""
