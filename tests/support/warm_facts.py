"""What a program that starts warm is compared by: what its server read meanwhile, and what each finds itself to be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from tests.support import warm

# What is another in each process: by what it started warm or cold, and MLflow's number of a start.
_OF_ITS_OWN: Final = (warm.VARIABLE, "PYTHONPATH", "_MLFLOW_SERVER_BOOT_ID")

# Tells what was read from the environment while a server's libraries were imported, and by which module; then the same
# of modules that are no part of it because they read. TLS reads SSL_CERT_FILE below Python.
_RECORDING: Final = """
import importlib, json, os, ssl, sys, threading
PASSING = {"os", "posixpath", "genericpath", "pathlib", "collections.abc", "ssl", "__main__"}
PASSING |= {"importlib._bootstrap", "importlib._bootstrap_external"}
read = {}
def note(name):
    frame = sys._getframe(2)
    while (by := frame.f_globals["__name__"]) in PASSING:
        frame = frame.f_back
    read.setdefault(name, {})[by] = True
class Recording(type(os.environ)):
    def __getitem__(self, name):
        note(os.fsdecode(name))
        return super().__getitem__(name)
    def __iter__(self):
        note("all of them")
        return super().__iter__()
def noted(load):
    def trusting(*arguments, **more):
        note("SSL_CERT_FILE")
        return load(*arguments, **more)
    return trusting
for name in ("load_default_certs", "set_default_verify_paths"):
    setattr(ssl.SSLContext, name, noted(getattr(ssl.SSLContext, name)))
import server
before = dict(os.environ)
os.environ.__class__ = os.environb.__class__ = Recording
kind, *left_out = sys.argv[1:]
server.import_libraries(kind)
after = {os.fsdecode(name): os.fsdecode(value) for name, value in os.environ._data.items()}
found = {
    "read": {name: list(by) for name, by in read.items()}, "threads": [thread.name for thread in threading.enumerate()],
    "tasks": len(os.listdir("/proc/self/task")), "modules": list(sys.modules),
    "changed": {name: after.get(name) for name in before | after if after.get(name) != before.get(name)},
}
read.clear()
for name in left_out:
    importlib.import_module(name)
json.dump(found | {"left out": read}, sys.stdout)
"""

TELLING: Final = """
import sys
found = {"first": sorted(sys.modules)}
import gc, json, logging, os, pathlib, re, signal, tempfile, threading, warnings
PLAIN = (str, bytes, int, float, bool, type(None))
# Made of the time, of an address, or of the order of a set; random keys.
OF_A_PROCESS = re.compile(r"(_?ctypes|tokenize|numpy|scipy|pydantic|__main__)\\..*|logging\\._startTime")
UUID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
def kinds(things):
    return [type(thing).__name__ for thing in things]
def tell():
    loggers = {name: each for name, each in logging.root.manager.loggerDict.items() if isinstance(each, logging.Logger)}
    found.update(
        constants={
            f"{name}.{attribute}": UUID.sub("random", repr(value))
            for name, module in list(sys.modules.items())
            for attribute, value in list(getattr(module, "__dict__", {}).items())
            if type(value) in PLAIN and not OF_A_PROCESS.fullmatch(f"{name}.{attribute}")
        },
        loggers={
            name: [each.level, kinds(each.handlers), kinds(each.filters), each.propagate, each.disabled]
            for name, each in ({"": logging.root} | loggers).items()
        },
        warnings=[str(each) for each in warnings.filters],
        garbage=[gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count() > 100_000],
        environment=dict(os.environ),
        threads=[thread.name for thread in threading.enumerate()],
        signals=[str(signal.getsignal(one)) for one in (signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)],
        interval=sys.getswitchinterval(),
        started=[sys.executable, sys.orig_argv, sys.argv, tempfile.gettempdir(), os.getcwd()],
        path=[each for each in sys.path if not each.endswith("/warm/site")],
        trusted=sys.modules["aiohttp.connector"]._SSL_CONTEXT_VERIFIED.cert_store_stats(),
        wsgi=sys.modules["wsgiref.handlers"].BaseHandler.os_environ.get("FOUND"),
    )
    pathlib.Path(os.environ["FOUND"]).write_text(json.dumps(found))
"""
"""What a program says first that writes down what it is, by `tell()`, where its variable FOUND says."""


def read_meanwhile(kind: str, environment: Mapping[str, str], *left_out: str) -> dict[str, Any]:
    """Return what a server of this kind read while it imported its libraries, and what it is then."""
    done = subprocess.run(
        [sys.executable, "-c", _RECORDING, kind, *left_out],
        cwd=warm.SITE.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_alike(found: dict[str, Any], expected: dict[str, Any], *other_constants: str) -> None:
    """Compare what a warm and a cold program wrote down; a warm one has the constants and loggers of others too.

    `other_constants` are others in each process.
    """
    first = [set(each.pop("first")) for each in (found, expected)]
    assert ["mlflow" in each for each in first] == [True, False], "one started warm, the other cold"
    for each in (found, expected):
        for name in _OF_ITS_OWN:
            each["environment"].pop(name, None)
    for part in ("constants", "loggers"):
        mine, others = found.pop(part), expected.pop(part)
        others = {name: value for name, value in others.items() if name not in other_constants}
        assert len(others) > 100, others
        assert_holds(mine, others)
    assert found.keys() == expected.keys()
    assert_holds(found, expected)


def assert_holds(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Compare what is expected with what is found of it, and show no more than what differs."""
    different = {name: (found.get(name), value) for name, value in expected.items() if found.get(name) != value}
    assert different == {}, different
