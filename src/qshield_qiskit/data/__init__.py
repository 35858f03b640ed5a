"""Datasets as float32 images in [0, 1], with their bounds, classes and splits."""

from qshield_qiskit.data.dataset import Dataset, SourceFile, Split
from qshield_qiskit.data.loading import default_root, known, load_dataset

__all__ = ["Dataset", "SourceFile", "Split", "default_root", "known", "load_dataset"]
