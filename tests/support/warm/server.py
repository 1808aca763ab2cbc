"""Imports the libraries of one kind of program once, and forks a child for each that an interpreter hands over.

The command line names the kind and the socket. It serves until its input ends, when nobody holds the other end any
more. Its `__main__` becomes that of each program, because libraries have read it: dill knows a program's own objects
by it.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import importlib
import importlib.machinery
import io
import json
import os
import re
import runpy
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn

_SITE: Final = Path(__file__).resolve().parent / "site"
_ENGINE: Final = (
    *("pulumi.dynamic", "dill", "pulumi_kubernetes", "pydantic", "yaml"),
    *("typer.main", "rich.console", "rich.table", "psutil", "supervisor.xmlrpc", "filelock", "requests", "semver"),
    # pydantic imports its parts at the first look into them.
    *("pydantic.main", "pydantic.types", "pydantic.fields", "pydantic.alias_generators", "pydantic.json_schema"),
    *("pydantic.functional_validators", "google.protobuf.any_pb2", "pulumi.runtime.proto.status_pb2"),
    *("getpass", "http.server", "shlex", "sysconfig", "tarfile", "tomllib", "zoneinfo"),
)
# `git grep "from pulumi_azure_native import" infra components` names them.
_AZURE: Final = (
    "app applicationinsights authorization consumption containerregistry containerservice dbforpostgresql keyvault",
    "managedidentity monitor network operationalinsights portal privatedns resources security storage",
)
# What roles import, but for what reads variables of theirs meanwhile, such as `mlflow.server` and all below it.
# `tests/support/test_warm_roles.py` looks who reads what.
_ROLES: Final = (
    *("mlflow", "mlflow.store.tracking.dbmodels.models", "mlflow.store.tracking.dbmodels.initial_models"),
    *("mlflow.store.artifact.azure_blob_artifact_repo", "mlflow.store.tracking.utils.sql_trace_metrics_utils"),
    *("mlflow.gateway.config", "mlflow.gateway.budget_tracker", "mlflow.gateway.schemas.chat", "mlflow.utils.crypto"),
    *("alembic.command", "alembic.op", "sqlalchemy.dialects.postgresql.psycopg2", "psycopg2", "prometheus_client.core"),
    *("azure.identity", "azure.keyvault.secrets", "azure.storage.blob", "cryptography.fernet", "jwt", "pydantic.v1"),
    *("uvicorn", "uvicorn.protocols.http.httptools_impl", "fastapi", "flask", "flask_cors", "anyio.from_thread"),
)
# What the smoke program imports: of the product's, then of MLflow with a model of scikit-learn.
_SMOKE: Final = (
    *("typer.main", "typer._adapters", "supervisor.xmlrpc", "filelock", "requests", "yaml"),
    *("mlflow", "mlflow.tracing.export.mlflow_v3", "mlflow.tracing.processor.base_mlflow"),
    *("mlflow.sklearn", "mlflow.pyfunc.loaders", "sklearn.linear_model", "skops.io"),
    *("azure.identity", "azure.storage.blob", "prometheus_client", "sqlalchemy"),
)
_PLUGIN: Final = "mlflow_runtime"
# The product's program for Azure and for this machine: a third of the time of a program is their import.
_PROGRAM: Final = ("infra.program", "infra.azure.program", "infra.local")
_CHECKOUT: Final = Path(__file__).resolve().parents[3]
_OF_CHECKOUT: Final = ("components", "delivery", "infra", "tools")


@dataclass(frozen=True)
class _Program:
    """What an interpreter was started with, and its standard files."""

    request: dict[str, Any]
    files: list[int]


def main() -> None:
    """Listen on the socket of the command line; libraries are imported when the first program comes."""
    kind, address = sys.argv[1:]
    os.close(os.pidfd_open(os.getpid()))  # by which it is seen that a child has ended: without it all start cold
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(128)
    print("listening")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # who started it waits for nobody else
    sys.path.append(str(_SITE))
    facts = importlib.import_module("handing_over").facts()
    if _wait(listener) and (connection := _forked(listener, kind)) is not None:
        program = _taken(connection, json.loads(json.dumps(facts)))
        if program is not None:
            _run(program)
    os._exit(0)  # to take the libraries down takes longer than all else that is left


def _wait(listener: socket.socket) -> bool:
    """Wait for a connection; False when the input has ended."""
    ready, _, _ = select.select([listener.fileno(), 0], [], [])
    return 0 not in ready


def _libraries(kind: str) -> list[str]:
    """Return the modules that the programs of this kind import: `engine`, `roles` or `smoke`."""
    azure = (f"pulumi_azure_native.{one}" for one in " ".join(_AZURE).split())
    return {"engine": [*_ENGINE, *azure, *_PROGRAM], "roles": [*_ROLES], "smoke": [*_SMOKE]}[kind]


def import_libraries(kind: str) -> None:
    """Import them, and have no child look through them for garbage."""
    gc.disable()
    sys.path.insert(0, str(_CHECKOUT))  # a program has its own path
    with _without_the_plugin():
        for name in _libraries(kind):
            getattr(importlib.import_module(name), "look", None)  # a part of azure-native is imported by a first look
    importlib.import_module("pydantic").create_model("First")  # it looks for plugins in all that is installed, once
    if kind == "engine":
        _resolve_types()
    gc.enable()
    gc.collect()
    gc.freeze()  # what children share is not looked through again


def _resolve_types() -> None:
    """Have Pulumi's SDK work out the types of what the product makes on Azure, which it does once for each class."""
    types = importlib.import_module("pulumi._types")
    made = re.compile(rf"\b({'|'.join(' '.join(_AZURE).split())})\.([A-Z]\w+)")
    texts = [file.read_text() for part in ("components", "infra") for file in (_CHECKOUT / part).rglob("*.py")]
    named = {(module, each) for text in texts for module, name in made.findall(text) for each in (name, f"{name}Args")}
    left = {getattr(sys.modules[f"pulumi_azure_native.{module}"], name, None) for module, name in named}
    done = {None}
    while left := left - done:
        one = left.pop()
        done.add(one)
        if types.is_input_type(one):
            inner = types.input_type_types(one)
        elif types.is_output_type(one) or hasattr(one, "pulumi_type"):
            inner = types._types_from_py_properties(one)
        else:
            continue
        left.update(part for each in inner.values() for part in (each, *getattr(each, "__args__", ())))


@contextlib.contextmanager
def _without_the_plugin() -> Iterator[None]:
    """Have MLflow not import its plugin of the product, which each child takes from its own checkout."""
    show, warnings.showwarning = warnings.showwarning, lambda *_: None  # MLflow warns that it has not found it
    sys.modules[_PLUGIN] = None  # type: ignore[assignment]  # as the import system says that there is none
    try:
        yield
    finally:
        del sys.modules[_PLUGIN]
        warnings.showwarning = show


def _forked(listener: socket.socket, kind: str) -> socket.socket | None:
    """Import, fork for each connection, and return it in the child; None where the input has ended."""
    import_libraries(kind)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child here
    while _wait(listener):
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return connection
        connection.close()
    return None


def _taken(connection: socket.socket, facts: object) -> _Program | None:
    """Fork, return the program in the child, and tell its interpreter its process's number and how it ended.

    A child whose interpreter was killed is killed too. None in this process, also where an interpreter decided what
    this one cannot be any more.
    """
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as body:
        text = body.read(int.from_bytes(head, "big"))
    if not text or (program := _Program(json.loads(text), files)).request["facts"] != facts:
        return None
    if (child := os.fork()) == 0:
        connection.close()
        return program
    for file in files:
        os.close(file)
    _tell(connection, child)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection.fileno()], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ended in ready:
        _tell(connection, status)
    return None


def _tell(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(ConnectionError):  # of an interpreter that was killed
        connection.sendall(f"{number}\n".encode())


def _run(program: _Program) -> NoReturn:
    """Be the interpreter that was started, from here on."""
    request = program.request
    os.setsid()
    for number, file in enumerate(program.files):
        os.dup2(file, number)
        os.close(file)
    if not request["unbuffered"]:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            _buffer(name, mode)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    _read_again()
    if not _is_of_the_checkout(request["path"]):
        _forget_the_product()
    sys.executable, sys.orig_argv = request["executable"], request["started"]
    sys.path[:] = request["path"]
    sys.path_importer_cache.clear()
    for name in ("server", "handing_over"):
        del sys.modules[name]
    main = sys.modules["__main__"]
    vars(main).clear()
    vars(main).update(__name__="__main__", __builtins__=builtins, __annotations__={})
    vars(main).update(dict.fromkeys(("__doc__", "__package__", "__spec__")))
    code, interrupted = 0, False
    try:
        if repositories := sys.modules.get("mlflow.store.artifact.artifact_repository_registry"):
            repositories._artifact_repository_registry.register_entrypoints()
        _execute(request["options"], vars(main))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code == 1 and ended.code not in (1, True):
            print(ended.code, file=sys.stderr)
    except BaseException as error:  # noqa: BLE001 - as an interpreter does
        error.__traceback__ = _own(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        code, interrupted = 1, isinstance(error, KeyboardInterrupt)
    _end(code, interrupted=interrupted)


def _is_of_the_checkout(path: list[str]) -> bool:
    """Return whether a program with this path has the checkout's folder, and finds no other product before it."""
    places = (place for place in path if Path(place, "infra", "__init__.py").exists())
    return Path.cwd() == _CHECKOUT == Path(next(places, os.devnull)).resolve()


def _forget_the_product() -> None:
    """Have a program import the product from where it finds it."""
    for name in [name for name in sys.modules if name.partition(".")[0] in _OF_CHECKOUT]:
        del sys.modules[name]


def _read_again() -> None:
    """Make again what was made of the environment and the folder before this program had its own."""
    time.tzset()
    modules: dict[str, Any] = sys.modules
    if processes := modules.get("multiprocessing.process"):
        processes.ORIGINAL_DIR = str(Path.cwd())
    if rich := modules.get("rich"):
        rich._IMPORT_CWD = str(Path.cwd())
    if handlers := modules.get("wsgiref.handlers"):
        handlers.BaseHandler.os_environ = handlers.read_environ()
    if connector := modules.get("aiohttp.connector"):  # it trusts SSL_CERT_FILE
        connector._SSL_CONTEXT_VERIFIED = connector._make_ssl_context(True)
    if random := modules.get("numpy.random"):  # Python's own is seeded after a fork
        random.seed()


def _end(code: int, *, interrupted: bool) -> NoReturn:
    """End as an interpreter does, but for the libraries: to take them down would copy each page that children share."""
    threading._shutdown()  # type: ignore[attr-defined]  # it waits for threads
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


def _buffer(name: str, mode: str) -> None:
    """Open a standard file as an interpreter does whose output is buffered, which this one's is not."""
    was = getattr(sys, name)
    file = open(was.fileno(), f"{mode}b", closefd=False)  # noqa: SIM115
    by_lines = name == "stderr" or file.isatty()
    made = io.TextIOWrapper(file, was.encoding, was.errors, None if mode == "r" else "\n", by_lines)
    setattr(sys, name, made)
    setattr(sys, f"__{name}__", made)


def _execute(options: list[str], variables: dict[str, Any]) -> None:
    """Run what the options of an interpreter name: `-m MODULE ...` or `FILE ...`."""
    if options[0] == "-m":
        _first(str(Path.cwd()))
        sys.argv[:] = ["-m", *options[2:]]
        runpy._run_module_as_main(options[1])  # type: ignore[attr-defined]  # as the interpreter itself does
        return
    file = options[0]
    _first(str(Path(file).resolve().parent))
    sys.argv[:] = options
    loader = importlib.machinery.SourceFileLoader("__main__", file)
    variables.update(__file__=file, __cached__=None, __loader__=loader)
    exec(compile(Path(file).read_bytes(), file, "exec", dont_inherit=True), variables)  # noqa: S102


def _first(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


def _own(trace: TracebackType | None) -> TracebackType | None:
    """Return a program's traceback without the lines of this file."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace
