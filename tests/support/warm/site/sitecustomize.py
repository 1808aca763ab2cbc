"""Hands a program to the server of `tests.support.warm`; any other interpreter goes on as it is."""

import itertools
import os
import sys

_PROGRAMS = ("pulumi-language-python-exec", "mlflow-platform")
_MODULES = ("pulumi.dynamic", "delivery")
_ROLES = ("tracking", "registry", "artifacts", "prepare")  # the gateway imports no library of these


def _hand_over(folder: str) -> None:
    """Hand over what the engine started, a list of packages, a provider or a program, and commands and roles."""
    options = list(itertools.dropwhile("-u".__eq__, sys.orig_argv[1:]))
    if options[:3] == ["-m", "pip", "list"]:
        import listing  # type: ignore[import-not-found]

        listing.answer(folder, options)
    elif server := _server(options):
        import handing_over  # type: ignore[import-not-found]

        handing_over.hand_over(f"{folder}/{server}", options)


def _server(options: list[str]) -> str:
    """Return the name of the server that has the libraries of this program, empty for any other program."""
    if options[:2] == ["-m", "mlflow_runtime.cli"]:
        return "roles" if [*options, ""][2] in _ROLES else ""
    known = (options[:1] == ["-m"] and options[1] in _MODULES) or os.path.basename([*options, ""][0]) in _PROGRAMS
    return "engine" if known else ""


if folder := os.environ.get("WARM_PROGRAMS"):
    _hand_over(folder)
