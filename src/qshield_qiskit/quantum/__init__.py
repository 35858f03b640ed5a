"""Circuit templates, device noise, the exact simulator and the quantum layer."""
