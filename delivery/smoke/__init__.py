"""Checks that a data scientist's day works against the MLflow behind a URL: `mlflow-platform smoke URL`.

The program talks to the server as its users do, through the MLflow client and through the routes that the web
interface calls. It makes everything under one random name, deletes that at the end whatever happened, and touches
nothing else on the server, in the user's environment or home folder.
"""
