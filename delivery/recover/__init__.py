"""Brings a stack back whose `pulumi up` was killed: its lock, its interrupted operations, what Azure made meanwhile."""
