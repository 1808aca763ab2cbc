"""Reusable Azure components. Each file is usable from another Pulumi program, with nothing of infra/.

A component takes physical names, ids and plain decisions through its Args, reads no configuration, and registers what
it publishes. Components of data create no network: private endpoints are put beside them by the program.
"""
