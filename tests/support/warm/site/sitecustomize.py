"""Hands a program of the engine to the server of `tests.support.warm`; any other interpreter goes on as it is."""

import os
import sys


def _hand_over(address: str) -> None:
    """Hand over what the engine's language host or plugin started: a list of packages, a provider, a program."""
    options = [one for one in sys.orig_argv[1:] if one != "-u"]
    if options[:3] == ["-m", "pip", "list"]:
        import listing  # type: ignore[import-not-found]

        listing.answer(address, options)
    elif options[:2] == ["-m", "pulumi.dynamic"] or os.path.basename(options[0] if options else "") == _PROGRAM:
        import handing_over  # type: ignore[import-not-found]

        handing_over.hand_over(address, options)


_PROGRAM = "pulumi-language-python-exec"

if address := os.environ.get("WARM_PROGRAMS"):
    _hand_over(address)
