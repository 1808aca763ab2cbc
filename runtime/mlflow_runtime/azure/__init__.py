"""The managed identity of this process, and the secrets and blobs that it opens."""
