"""The parts of the stand-in of IBM's service: its devices, its queue of jobs, its faults and its routes."""
