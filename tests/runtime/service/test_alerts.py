"""Every alert and every panel runs over lines that the real processes wrote: gateway, services and prepare."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from components.azure.log_table import CONTAINER_APPS_CONSOLE, LogTable, container_log_v2
from components.mlflow.observability import kql
from components.mlflow.observability.alerts import query_alerts
from components.mlflow.observability.panels import PANELS
from components.mlflow.observability.workbook import sections
from mlflow_runtime.routes import ServiceRole
from tests.runtime.service.test_operability import metric
from tests.runtime.service.test_service import new_trace
from tests.support import container_insights, kusto, warm
from tests.support.plane import Program
from tests.support.ports import first_of_free_ports
from tests.support.role_environment import TOPOLOGY, given
from tests.support.services import BY_ROLE, PUBLIC_HOST, Platform, Service, command, eventually
from tests.support.waiting import until

Lines = Sequence[Mapping[str, object]]

BEGIN = datetime(2026, 1, 1, 12, 1)
NAMESPACE = "mlflow-dev"
# What the backends' lines arrive in, by the name of the backend.
TABLES: Mapping[str, LogTable] = {
    "container_apps": CONTAINER_APPS_CONSOLE,
    "aks": container_log_v2(NAMESPACE),
}
ALERTS = {
    backend: {rule.name: rule for rule in (*query_alerts(logs), *kql.alerts(logs))} for backend, logs in TABLES.items()
}
NAMES = [*ALERTS["aks"]]
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/alerts/a.txt"
CREATE = "/api/2.0/mlflow/experiments/create"
EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"
MODELS = "/api/2.0/mlflow/registered-models/search"
DISK = 2 << 20
START_SECONDS = 180
# Of one database, within the alert's five minutes: `database-pool` fires over 0.2 a second, which are 60.
WAITS = 100


@dataclass(frozen=True, kw_only=True)
class Records:
    """Makes the table's rows of what processes wrote."""

    platform: Platform
    disk: Path

    def gateway(self, upstreams: Mapping[str, int], ask: Callable[[Service], None], **changes: str) -> Lines:
        """Return what a gateway before these ports writes while `ask` sends requests."""
        port = first_of_free_ports(1)
        log = self.platform.plane.folder / f"gateway-{port}.log"
        own = given("gateway", replace(TOPOLOGY, public_hosts=[PUBLIC_HOST]))
        ports = {role: upstreams.get(role, first_of_free_ports(1)) for role in ServiceRole}
        addresses = {f"MLFLOW_RUNTIME_{role.name}_UPSTREAMS": f"127.0.0.1:{ports[role]}" for role in ServiceRole}
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": self.platform.environment("artifacts")["PYTHONPATH"]}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command("gateway"),
                env={**path, **own, **addresses, "MLFLOW_RUNTIME_DRAIN_SECONDS": "0", "PORT": str(port), **changes},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        service = Service("gateway", port, Program(process, log))
        try:
            until(lambda: service.ask("/live").status == 200, "the gateway is live", START_SECONDS, not_yet=(OSError,))
            ask(service)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        return rows("gateway", log.read_text())

    @contextmanager
    def service(self, role: str, lines: list[Mapping[str, object]], **changes: str) -> Iterator[Service]:
        """Start a service, and add all that it writes to `lines` when it was stopped."""
        prefix = changes.pop("prefix", "")
        words = ("unshare", "--map-root-user", "--mount", "sh", "-c", f'{prefix} && exec "$@"', "sh") if prefix else ()
        started = self.platform.start(role, ready=False, prefix=words, **changes)
        try:
            until(lambda: started.ask("/live").status == 200, f"{role} is live", START_SECONDS, not_yet=(OSError,))
            yield started
        finally:
            started.program.stop(signal.SIGTERM)
        lines += rows(role, started.log)

    def prepare(self, **changes: str) -> tuple[int, Lines]:
        """Run prepare to its end; return its exit code and its lines."""
        done = self.platform.run("prepare", **changes)
        return done.returncode, rows("prepare", done.stdout + done.stderr)

    @property
    def small_disk(self) -> str:
        """The command that mounts a disk with room for 100 KB at `disk`, in a namespace of its own."""
        fill = f'head -c {DISK - 100_000} /dev/zero > "{self.disk}/full"'
        return f'mount -t tmpfs -o size={DISK} tmpfs "{self.disk}" && {fill}'


def rows(container: str, text: str) -> list[Mapping[str, object]]:
    """Return a row for each line, all within a moment."""
    kind = "JobName" if container == "prepare" else "ContainerAppName"
    return [
        {
            "TimeGenerated": BEGIN + timedelta(milliseconds=number),
            "ContainerName": container,
            "ContainerGroupName": f"{container}-1",
            kind: f"mlflow-{container}",
            "Log": line,
        }
        for number, line in enumerate(text.splitlines())
    ]


def each(times: int, ask: Callable[[], Any]) -> list[Any]:
    return [ask() for _ in range(times)]


def together(times: int, ask: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(times) as threads:
        return [done.result() for done in [threads.submit(ask) for _ in range(times)]]


@pytest.fixture(scope="module")
def records(shared: Platform) -> Records:
    folder = shared.plane.folder / "alerts-spool"
    folder.mkdir()
    return Records(platform=shared, disk=folder)


@pytest.fixture(scope="module")
def quiet(records: Records) -> Lines:
    """What all processes write while all is well."""
    lines: list[Mapping[str, object]] = []
    with ExitStack() as stack:
        started = {role: stack.enter_context(records.service(role, lines)) for role in ServiceRole}
        for service in started.values():
            eventually(lambda: service.ready().status == 200, "ready")  # noqa: B023

        def ask(gateway: Service) -> None:
            eventually(lambda: gateway.ask(EXPERIMENTS).status == 200, "tracking through the gateway")
            eventually(lambda: gateway.ask(MODELS).status == 200, "registry through the gateway")
            assert gateway.ask(ARTIFACT, b"x", method="PUT").status == 200
            assert {answer.status for answer in each(30, lambda: gateway.ask(EXPERIMENTS))} == {200}
            assert gateway.ask(ARTIFACT).content == b"x"

        lines += records.gateway({role: service.port for role, service in started.items()}, ask)
    code, prepared = records.prepare()
    assert code == 0
    return [*lines, *prepared]


def found(backend: str, query: str, lines: Lines) -> list[dict[str, Any]]:
    """What a query finds in the backend's table of these lines."""
    (rows_found,) = all_found(backend, [query], lines)
    return rows_found


def all_found(backend: str, queries: Iterable[str], lines: Lines) -> list[list[dict[str, Any]]]:
    """What each query finds in the backend's table of these lines."""
    if backend == "container_apps":
        return kusto.run_all(queries, lines)
    return kusto.run_all(queries, of_cluster(lines), "ContainerLogV2")


def of_cluster(lines: Lines) -> Lines:
    """The same lines, as Container Insights writes them."""
    return [
        row
        for line in lines
        for row in container_insights.log_rows(
            NAMESPACE,
            str(line["ContainerName"]),
            str(line["ContainerGroupName"]),
            line["TimeGenerated"],  # type: ignore[arg-type]  # see `rows`
            str(line["Log"]),
        )
    ]


@pytest.mark.parametrize("backend", TABLES)
@pytest.mark.parametrize("name", NAMES)
def test_no_alert_fires_over_what_processes_write_while_all_is_well(name: str, backend: str, quiet: Lines) -> None:
    assert found(backend, ALERTS[backend][name].query, quiet) == []


def test_no_line_of_metrics_is_split_on_its_way_from_a_cluster(quiet: Lines) -> None:
    """Of two halves no panel reads anything: half of the limit is kept for labels that are not there yet."""
    longest = max(len(str(line["Log"])) for line in quiet if "mlflow_runtime.metrics" in str(line["Log"]))
    assert longest < container_insights.LONGEST_LINE / 2


def test_the_lines_of_another_namespace_fire_no_alert(recorded: Callable[[Callable[[Records], Lines]], Lines]) -> None:
    others = [{**row, "PodNamespace": "somebody-else"} for row in of_cluster(recorded(failing_gateway))]
    assert kusto.run(ALERTS["aks"]["gateway-errors"].query, others, "ContainerLogV2") == []


def failing_gateway(records: Records) -> Lines:
    """Nobody listens where its upstreams are."""
    return records.gateway({}, lambda gateway: assert_all(503, together(30, lambda: gateway.ask(EXPERIMENTS))))


def gateway_before_an_empty_address(records: Records) -> Lines:
    """A cluster's address of a service leads to no pod: it is the one upstream, and nothing checks it."""

    def ask(gateway: Service) -> None:
        assert_all(503, together(30, lambda: gateway.ask(EXPERIMENTS)))

    return records.gateway({}, ask, MLFLOW_RUNTIME_UPSTREAM_CHECKS="false")


def assert_all(status: int, answers: Sequence[Any]) -> None:
    assert {answer.status for answer in answers} == {status}


def prepare_without_settings(records: Records) -> Lines:
    code, lines = records.prepare(MLFLOW_RUNTIME_TRACKING_DATABASE="")
    assert code == 2
    return lines


def prepare_without_its_vault(records: Records) -> Lines:
    nowhere = f"https://127.0.0.1:{first_of_free_ports(1)}"
    code, lines = records.prepare(MLFLOW_RUNTIME_KEY_VAULT_URL=nowhere, MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS="1")
    assert code == 1
    return lines


def prepare_of_a_broken_image(records: Records) -> Lines:
    """A module that prepare imports late is not the one that it knows."""
    folder = records.platform.plane.folder / "broken"
    folder.mkdir(exist_ok=True)
    (folder / "alembic.py").write_text("raise RuntimeError('broken')\n")
    path = records.platform.environment("prepare")["PYTHONPATH"]
    code, lines = records.prepare(PYTHONPATH=f"{folder}{os.pathsep}{path}", **warm.COLD)
    assert code == 1
    return lines


def prepare_as_somebody_else(records: Records) -> Lines:
    """The vault refuses an identity without the role."""
    code, lines = records.prepare(
        **records.platform.plane.environment(BY_ROLE["tracking"]) | {"MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS": "1"}
    )
    assert code == 1
    return lines


def prepare_without_a_token(records: Records) -> Lines:
    code, lines = records.prepare(IDENTITY_HEADER="wrong", MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS="1")
    assert code == 1
    return lines


def artifacts_without_a_token(records: Records) -> Lines:
    lines: list[Mapping[str, object]] = []
    with records.service("artifacts", lines, IDENTITY_HEADER="wrong") as service:
        assert service.ask(ARTIFACT).status == 503
        assert service.ready().status == 503
    return lines


def artifacts_that_may_not_write(records: Records) -> Lines:
    """With the identity of registry, which reads blobs; the store refuses each upload."""
    lines: list[Mapping[str, object]] = []
    identity = records.platform.plane.environment(BY_ROLE["registry"])
    with records.service("artifacts", lines, **identity) as service:
        assert_all(403, each(12, lambda: service.ask(ARTIFACT, b"x", method="PUT")))
    return lines


def artifacts_without_a_store(records: Records) -> Lines:
    lines: list[Mapping[str, object]] = []
    nowhere = records.platform.container.replace(str(records.platform.plane.blob_port), str(first_of_free_ports(1)))
    with records.service("artifacts", lines, MLFLOW_RUNTIME_BLOB_CONTAINER_URL=nowhere) as service:
        assert_all(503, together(12, lambda: service.ask(ARTIFACT)))
    return lines


def tracking_on_a_full_disk(records: Records) -> Lines:
    mount = records.small_disk
    if (
        sys.platform != "linux"
        or subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", mount], check=False).returncode
    ):
        pytest.skip("this system lets nobody mount a small disk")
    lines: list[Mapping[str, object]] = []
    with ExitStack() as stack:
        tracking = stack.enter_context(records.service("tracking", lines, prefix=mount, TMPDIR=str(records.disk)))
        eventually(lambda: tracking.ready().status == 200, "tracking is ready")
        trace, spans = new_trace(tracking)
        records.platform.blob_container().upload_blob(spans, bytes(DISK))
        assert tracking.ask(f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={trace}").status == 507
    return lines


def tracking_with_too_much_to_do(records: Records) -> Lines:
    lines: list[Mapping[str, object]] = []
    head = (
        f"POST {CREATE} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    with ExitStack() as stack:
        service = stack.enter_context(records.service("tracking", lines, MLFLOW_RUNTIME_MAX_IN_FLIGHT="1"))
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
        slow.sendall(head.encode())
        eventually(lambda: service.ask(EXPERIMENTS).status == 503, "the slow request takes the one place")
        assert_all(503, each(70, lambda: service.ask(EXPERIMENTS)))
    return lines


def tracking_with_few_connections(records: Records) -> Lines:
    """Exports of spans have threads of their own, so that they find the connections in use. MLflow answers all else."""
    lines: list[Mapping[str, object]] = []
    with records.service(
        "tracking", lines, MLFLOW_RUNTIME_DATABASE_POOL_SIZE="2", MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS="0"
    ) as service:
        eventually(lambda: service.ready().status == 200, "tracking is ready")

        def work(number: int) -> None:
            if number < 2:
                assert_all(200, each(5, lambda: service.ask("/v1/traces", export(), headers=OTLP)))
            else:
                assert_all(200, each(5, lambda: service.ask(EXPERIMENTS)))

        with ThreadPoolExecutor(12) as threads:
            for _ in range(12):
                for done in [threads.submit(work, number) for number in range(12)]:
                    done.result()
                if max(metric(service, "mlflow_database_connections_waited_total").values(), default=0) > WAITS:
                    break
    return lines


OTLP = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}


def export() -> bytes:
    span = Span(trace_id=os.urandom(16), span_id=os.urandom(8), name="s", start_time_unix_nano=1, end_time_unix_nano=2)
    spans = ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])
    return bytes(ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString())


FAULTS: Mapping[str, Sequence[Callable[[Records], Lines]]] = {
    "gateway-errors": [failing_gateway, gateway_before_an_empty_address],
    "no-ready-replica": [failing_gateway, gateway_before_an_empty_address],
    "prepare-failed": [prepare_without_settings, prepare_without_its_vault, prepare_of_a_broken_image],
    "token-failures": [
        prepare_as_somebody_else,
        prepare_without_a_token,
        artifacts_without_a_token,
        artifacts_that_may_not_write,
    ],
    "spool-disk": [tracking_on_a_full_disk],
    "overload": [tracking_with_too_much_to_do],
    "database-pool": [tracking_with_few_connections],
    "tokens-refused": [artifacts_without_a_token],
    "blob-failures": [artifacts_that_may_not_write, artifacts_without_a_store],
    "spool-filling": [tracking_on_a_full_disk],
}
ALL = sorted({fault.__name__: fault for faults in FAULTS.values() for fault in faults}.items())


@pytest.fixture(scope="module")
def recorded(records: Records) -> Callable[[Callable[[Records], Lines]], Lines]:
    """Return the lines of a fault, which happens once for all tests."""
    found: dict[str, Lines] = {}

    def of(fault: Callable[[Records], Lines]) -> Lines:
        if fault.__name__ not in found:
            found[fault.__name__] = fault(records)
        return found[fault.__name__]

    return of


def test_every_alert_over_lines_has_its_fault() -> None:
    assert sorted(FAULTS) == sorted(NAMES)


@pytest.mark.parametrize("backend", TABLES)
@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name, faults in FAULTS.items() for fault in faults],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_alert_fires_over_what_processes_write_in_its_fault(
    name: str, fault: Callable[[Records], Lines], backend: str, recorded: Callable[[Callable[[Records], Lines]], Lines]
) -> None:
    assert found(backend, ALERTS[backend][name].query, recorded(fault))


def here(query: str) -> str:
    """The query as the workbook asks it for four hours, without the one function that the engine here lacks."""
    filled = re.sub(r"\{TimeRange:grain\}", "5m", query)
    return re.sub(r"make_set_if\((.*), (finding startswith \"fails\")\)", r'make_set(iff(\2, \1, ""))', filled)


@pytest.mark.parametrize("backend", TABLES)
def test_every_panel_of_the_workbook_shows_something_of_these_lines(
    backend: str, quiet: Lines, recorded: Callable[[Callable[[Records], Lines]], Lines]
) -> None:
    logs = TABLES[backend]
    lines = [*quiet, *(line for _, fault in ALL for line in recorded(fault))]
    shown = {panel.title: panel.query for section in sections(logs) for panel in section.panels}
    asked = {title: query for title, query in shown.items() if query.startswith(logs.source)}
    answers = all_found(backend, [here(query) for query in asked.values()], lines)
    empty = {title for title, answer in zip(asked, answers, strict=True) if not answer}
    assert len(asked) > len(PANELS)
    assert empty == set()


@pytest.mark.parametrize("role", ["tracking", "prepare", "gateway"])
def test_every_line_of_a_process_is_json_with_a_level(
    role: str, quiet: Lines, recorded: Callable[[Callable[[Records], Lines]], Lines]
) -> None:
    lines = [*quiet, *(line for _, fault in ALL for line in recorded(fault))]
    texts = [str(line["Log"]) for line in lines if line["ContainerName"] == role]
    assert texts
    assert [text for text in texts if not _has_level(text)] == []


def _has_level(text: str) -> bool:
    try:
        return "level" in json.loads(text)
    except ValueError:
        return False
