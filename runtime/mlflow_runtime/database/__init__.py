"""How MLflow reaches PostgreSQL: addresses, tokens as passwords, connections, revisions."""
