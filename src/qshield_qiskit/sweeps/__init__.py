"""Many runs: a grid of cells, each trained, attacked and judged, on the cores of this machine or on a cluster."""
