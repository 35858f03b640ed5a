"""Backbones, fusions and the hybrid classifier that joins them to a circuit."""
