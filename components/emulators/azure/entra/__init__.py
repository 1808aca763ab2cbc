"""Entra ID's sign-in for one tenant and one platform: people, applications, version 2.0 tokens, and their keys."""
