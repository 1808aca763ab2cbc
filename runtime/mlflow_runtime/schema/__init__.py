"""What MLflow's migrations do to the database, and which versions of MLflow's code run on which schema.

`migrations.json` holds the facts, taken from PostgreSQL's catalog before and after each migration by
`python -m delivery.schema.generate`; `history` reads it, `comparison` judges a change of version by it,
`declaration` is what prepare tells replicas of an older image, and `guard` is how a service refuses a schema.
"""
