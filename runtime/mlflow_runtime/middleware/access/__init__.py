"""Access control: who sends a request (an Entra token), for which workspace, and whether that caller may."""
