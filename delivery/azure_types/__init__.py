"""What the delivery commands know of azure-native resource types: type tokens and paths."""
