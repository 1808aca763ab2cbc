"""Sign in to MLflow with Microsoft Entra ID."""
