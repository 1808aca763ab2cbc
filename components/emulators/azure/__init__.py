"""The managed identity endpoint and the Key Vault of the local stack, exact on the wire, in one small process."""
