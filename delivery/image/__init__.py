"""Builds the image of the runtime, and compares two builds of it: `python -m delivery.image --help`."""
