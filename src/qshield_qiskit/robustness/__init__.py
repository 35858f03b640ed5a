"""Attacks on a classifier, what they come to, and whether the figures may be believed."""
