"""Looks at all that a command on a stack needs, and says for each what is wrong and which command fixes it."""
