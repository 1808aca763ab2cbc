"""The programs of a real Kubernetes, built by a stub Go: what is built, cached by version, interrupted, said."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.tools.conftest import CHECKOUT, Tool, is_running, stub, wait_for
from tools import wheels
from tools.kubernetes import programs

BUILT = [programs.ETCD, *programs.SERVERS, "kube-score", "kwok", "pulumi-resource-kubernetes"]

_GO = """
printf '%s\\n' "$*" >> {log}
case "$*" in
  "env GOVERSION") echo go1.99.0;;
  "list -m"*) echo {source};;
  "list "*) echo "stale some/package";;
  "build "*)
    {before_build}
    while [ "$1" != -o ]; do shift; done
    case "$2" in *kubernetes) /bin/cp schema.json {log}.schema;; esac
    printf '#!/bin/sh\\necho Kubernetes v{built}\\n' > "$2"; /bin/chmod 755 "$2";;
esac
"""


class Machine:
    """A machine with a stub Go on PATH whose calls are logged, and with kubectl unpacked already."""

    def __init__(self, folder: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.log = folder / "go.log"
        self.cache = folder / "cache" / "mlflow-platform" / "kubernetes"
        self.checkout = folder / "checkout"
        shutil.copytree(CHECKOUT / "tools", self.checkout / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        self.tool = Tool(script=self.checkout / "tools" / "kubernetes" / "programs.py", environment=environment)
        self.put_kubectl(monkeypatch)
        for stage in programs.STAGES:
            (folder / "source" / "kustomize" / "stage" / stage).mkdir(parents=True)
            for file in ("kustomization.yaml", "stage.yaml"):
                (folder / "source" / "kustomize" / "stage" / stage / file).write_text(stage)
        documents = folder / "source" / "cmd" / "pulumi-resource-kubernetes"
        documents.mkdir(parents=True)
        (documents / "schema.json").write_text('{"name": "kubernetes"}')
        (documents / "terraform-mapping.json").write_text("{}")
        self.put_go()

    def put_kubectl(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.folder / "cache"))
        directory = wheels.directory(CHECKOUT / "tools" / "kubernetes" / "kubectl.txt")
        size = stub(directory / "bin" / "kubectl", "exit 0").stat().st_size
        (directory / "complete.json").write_text(json.dumps({"bin/kubectl": size}))

    def put_go(self, *, before_build: str = ":", built: str | None = None) -> None:
        text = _GO.format(
            log=self.log, source=self.folder / "source", before_build=before_build, built=built or programs.version()
        )
        stub(self.folder / "bin" / "go", text)

    def calls(self, command: str) -> int:
        return sum(line.startswith(command) for line in self.log.read_text().splitlines()) if self.log.exists() else 0

    def finished(self) -> list[str]:
        names = (path.name for path in self.cache.iterdir()) if self.cache.exists() else ()
        return sorted(name.rpartition("-")[0] for name in names if not name.startswith("."))

    def staging(self) -> list[Path]:
        return list(self.cache.glob(".making-*"))


@pytest.fixture
def machine(tmp_path: Path, private: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, private, monkeypatch)


ALL = [
    f"control_plane-{programs.version()}",
    "kube_score-1.20.0",
    "kwok-0.7.0",
    f"provider-{programs.PROVIDER_VERSION}",
]


def test_all_programs_are_on_the_printed_path(machine: Machine) -> None:
    result = machine.tool.run()
    assert result.returncode == 0, result.stderr
    for program in (*BUILT, "kubectl"):
        assert shutil.which(program, path=result.stdout.strip()) is not None, program
    assert machine.finished() == ALL
    assert machine.calls("build -mod=readonly -trimpath -buildvcs=false") == len(BUILT)
    assert [program for program in BUILT if f" compiling {program}\n" not in result.stderr] == []


def test_the_provider_says_its_version_in_its_schema_and_leaves_no_sources(machine: Machine) -> None:
    provider = Path(machine.tool.run().stdout.split(os.pathsep)[0])
    schema = json.loads((machine.folder / "go.log.schema").read_text())
    assert schema == {"name": "kubernetes", "version": programs.PROVIDER_VERSION}
    assert sorted(path.name for path in provider.iterdir()) == ["complete.json", "pulumi-resource-kubernetes"]


def test_the_stages_of_kwok_come_with_it(machine: Machine) -> None:
    stages = Path(machine.tool.run().stdout.split(os.pathsep)[2]) / "stages"
    found = sorted(str(path.relative_to(stages)) for path in stages.rglob("*.yaml"))
    assert found == [f"{folder}/stage.yaml" for folder in programs.STAGES]


def test_a_second_call_starts_no_process_and_opens_no_connection(machine: Machine, guarded: dict[str, str]) -> None:
    assert "under the guard" in machine.tool.run(**guarded).stderr  # the guard does catch a first call
    first = machine.tool.run()
    second = machine.tool.run(**guarded)
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")


def test_check_builds_nothing_and_says_what_is_missing(machine: Machine, guarded: dict[str, str]) -> None:
    result = machine.tool.run("--check", **guarded)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == (
        "kubernetes: not in the cache: kube-score, kwok, control-plane, provider. Build them: python "
        "tools/kubernetes/programs.py\n"
    )
    machine.tool.run()
    assert machine.tool.run("--check", **guarded).returncode == 0


def test_another_version_is_built_beside_the_first_and_nothing_else_again(machine: Machine) -> None:
    machine.tool.run()
    pins = machine.checkout / "tools" / "kubernetes" / "kwok" / "go.mod"
    pins.write_text(pins.read_text().replace("sigs.k8s.io/kwok v0.7.0", "sigs.k8s.io/kwok v0.8.0"))
    result = machine.tool.run()
    assert result.returncode == 0, result.stderr
    assert machine.finished() == sorted([*ALL, "kwok-0.8.0"])
    assert machine.calls("build") == len(BUILT) + 1


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_build_keeps_what_is_whole_and_nothing_else(
    machine: Machine, sent: signal.Signals, code: int
) -> None:
    sleeper = machine.folder / "sleeper"
    wait = f"echo $$ > {sleeper}.new; /bin/mv {sleeper}.new {sleeper}; exec /bin/sleep 300"
    machine.put_go(before_build=f'case "$*" in *kube-scheduler*) {wait};; esac')
    process = machine.tool.start()
    wait_for(sleeper.exists)
    process.send_signal(sent)
    compiler = int(sleeper.read_text())
    if sent == signal.SIGKILL:
        os.kill(compiler, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == code
    wait_for(lambda: not is_running(compiler))
    assert machine.finished() == ALL[1:3]
    assert len(machine.staging()) == (sent == signal.SIGKILL)

    machine.put_go()
    result = machine.tool.run()
    assert result.returncode == 0, result.stderr
    assert machine.finished() == ALL
    assert machine.staging() == []
    assert machine.calls("build") == len(BUILT) + 4  # etcd and the servers were begun, and none of them was kept


def test_a_server_of_another_version_than_the_pinned_one_is_refused(machine: Machine) -> None:
    machine.put_go(built="0.0.0")
    result = machine.tool.run()
    assert result.returncode == 1
    assert f"says that it is Kubernetes v0.0.0, not v{programs.version()}" in result.stderr
    assert machine.finished() == ALL[1:3]


def test_the_client_is_at_most_one_minor_version_from_the_control_plane() -> None:
    pinned = (CHECKOUT / "tools" / "kubernetes" / "kubectl.in").read_text().partition("==")[2].split(".")[1]
    assert abs(int(pinned) - int(programs.version().split(".")[1])) <= 1


def test_the_provider_calls_itself_by_the_version_that_the_sdk_asks_for() -> None:
    requirements = (CHECKOUT / "requirements.in").read_text()
    assert f"\npulumi-kubernetes=={programs.PROVIDER_VERSION} " in requirements
