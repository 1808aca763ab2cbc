"""What runs inside the one image: `mlflow-runtime ROLE`."""
