"""A release from one stack's file into the next one's."""
