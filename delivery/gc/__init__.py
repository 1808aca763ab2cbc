"""Removing for good what teams deleted: `mlflow-platform gc`, which runs MLflow's own `mlflow gc`."""
