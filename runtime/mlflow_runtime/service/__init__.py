"""One service of MLflow: its process, its settings, its application and its probes."""
