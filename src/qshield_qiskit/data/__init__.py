"""Datasets as float32 images in [0, 1], with their bounds, classes and splits."""
