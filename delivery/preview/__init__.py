"""Shows a stack with no login: the real engine against the offline Azure."""
