"""Artifacts on their way between clients and the container: through this process in blocks, or past it."""
