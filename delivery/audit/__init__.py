"""Who did what: `mlflow-platform audit`, over the lines that services with access control write.

The local stack's are read from its logs. For a stack on Azure the query is printed, for whoever may read its workspace.
"""
