"""Builds the image of the runtime, and compares two builds of it: `mlflow-platform image --help`."""
