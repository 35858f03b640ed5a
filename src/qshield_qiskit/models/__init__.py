"""Backbones, fusion rules and the hybrid classifier."""
