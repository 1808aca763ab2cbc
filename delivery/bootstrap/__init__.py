"""The first stack: it makes the account with every stack's state, and then moves its own state there."""
