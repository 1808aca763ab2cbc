"""The data plane of the local stack: programs that stand in for Azure's services on 127.0.0.1.

Each runs in the foreground as `python -m components.emulators.NAME`, logs to stderr, keeps everything below
`--state DIR`, and may be killed at any time and started again.
"""
