"""Hands a program to the server of `tests.support.warm`; any other interpreter goes on as it is."""

import itertools
import os
import sys

_PROGRAMS = ("pulumi-language-python-exec", "mlflow-platform")
_MODULES = ("pulumi.dynamic", "delivery")


def _hand_over(address: str) -> None:
    """Hand over what the engine started, a list of packages, a provider or a program, and commands of the product."""
    options = list(itertools.dropwhile("-u".__eq__, sys.orig_argv[1:]))
    if options[:3] == ["-m", "pip", "list"]:
        import listing  # type: ignore[import-not-found]

        listing.answer(address, options)
    elif (options[:1] == ["-m"] and options[1] in _MODULES) or os.path.basename([*options, ""][0]) in _PROGRAMS:
        import handing_over  # type: ignore[import-not-found]

        handing_over.hand_over(address, options)


if address := os.environ.get("WARM_PROGRAMS"):
    _hand_over(address)
