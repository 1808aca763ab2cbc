"""The settings of a stack: the model, its defaults, its reader and its guardrails."""
