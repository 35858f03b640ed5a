"""Backends: the things behind a name in backends/, which transpile and carry a noise model."""
