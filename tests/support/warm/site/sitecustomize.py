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
    by_name = options[:1] == ["-m"]
    program, word = [*options[by_name:], "", ""][:2]
    if by_name and program == "mlflow_runtime.cli":
        return "roles" if word in _ROLES else ""
    known = program in _MODULES if by_name else os.path.basename(program) in _PROGRAMS
    if not known:
        return ""
    return "smoke" if word == "smoke" else "engine"


if folder := os.environ.get("WARM_PROGRAMS"):
    _hand_over(folder)
