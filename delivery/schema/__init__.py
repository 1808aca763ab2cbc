"""Writes the table of MLflow's migrations that the image carries."""
