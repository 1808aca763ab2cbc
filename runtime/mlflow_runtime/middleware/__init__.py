"""What stands around MLflow's own application, one file each; service/application.py lists them in order."""
