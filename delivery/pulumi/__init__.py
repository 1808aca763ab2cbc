"""The one wrapper of Pulumi's engine: where it is, its environment, its commands, and the lock of a stack."""
