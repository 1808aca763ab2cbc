"""The path by which states of older local stacks find the provider of their blob container.

The provider is in components/emulators/blob_container.py. Without this module such a stack could be neither refreshed
nor destroyed.
"""

from components.emulators.blob_container import BlobContainerProvider

__all__ = ["BlobContainerProvider"]
