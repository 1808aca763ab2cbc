"""What the teams of a stack store against their quotas: `mlflow-platform quotas`.

It is a report: nobody's upload is refused. Stored files are counted by their paths, which begin with the team's folder.
"""
