"""Everything that is changed inside MLflow, each with the version and the reason."""
