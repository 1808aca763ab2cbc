"""What the gateway accepts from its environment, and that Caddy takes whatever becomes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_runtime.environment import SettingsError
from mlflow_runtime.gateway import caddy
from mlflow_runtime.gateway.config import render
from mlflow_runtime.gateway.settings import MIB, from_environment
from mlflow_runtime.routes import ServiceRole
from tests.support.role_environment import whole

GOOD = {
    **whole("gateway"),
    "PORT": "5500",
    **{f"MLFLOW_RUNTIME_{role.name}_UPSTREAMS": f"{role}:5000" for role in ServiceRole},
    "MLFLOW_RUNTIME_TRACKING_UPSTREAMS": "10.0.0.4:5000, tracking.internal:443",
    "MLFLOW_RUNTIME_REGISTRY_UPSTREAMS": "[fd00::1]:5000",
    "MLFLOW_RUNTIME_PUBLIC_HOSTS": "MLflow.example.com, localhost:5500,[::1]:5500",
}
CHECKS = {checks: {"MLFLOW_RUNTIME_UPSTREAM_CHECKS": str(checks).lower()} for checks in (True, False)}


def test_a_whole_environment_is_read() -> None:
    got = from_environment(
        GOOD | {"MLFLOW_RUNTIME_MAX_BODY_MIB": "7", "MLFLOW_RUNTIME_MAX_ARTIFACT_MIB": "9", "MLFLOW_RUNTIME_HOST": "::"}
    )
    assert (got.host, got.port, got.upstream_tls, got.grace_seconds) == ("::", 5500, False, 30)
    assert (got.max_body, got.max_artifact) == (7 * MIB, 9 * MIB)
    assert got.upstreams == {role: (f"{role}:5000",) for role in ServiceRole} | {
        ServiceRole.TRACKING: ("10.0.0.4:5000", "tracking.internal:443"),
        ServiceRole.REGISTRY: ("[fd00::1]:5000",),
    }
    assert got.public_hosts == ("mlflow.example.com", "localhost:5500", "[::1]:5500")


def test_all_problems_are_in_one_message() -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(
            {
                **{name: "" if name.endswith(("_UPSTREAMS", "_HOSTS")) else value for name, value in GOOD.items()},
                "PORT": "70000",
                "MLFLOW_RUNTIME_UPSTREAM_TLS": "yes",
                "MLFLOW_RUNTIME_MAX_ARTIFACT_MIB": "1.5",
            }
        )
    lines = str(refused.value).splitlines()
    assert lines[1:] == [
        "PORT: '70000' must be a whole number from 1 to 65535.",
        *(
            f"MLFLOW_RUNTIME_{role.name}_UPSTREAMS: is not set; it must be host:port pairs separated by commas, such as"
            " 10.0.0.4:5000,10.0.0.5:5000."
            for role in ServiceRole
        ),
        "MLFLOW_RUNTIME_UPSTREAM_TLS: 'yes' must be true or false.",
        "MLFLOW_RUNTIME_PUBLIC_HOSTS: is not set; it must be Host header values separated by commas, each a name or"
        " an address, with its port where that is not the scheme's own, such as mlflow.example.com,localhost:5500."
        " Patterns are refused: they would let foreign names in.",
        "MLFLOW_RUNTIME_MAX_ARTIFACT_MIB: '1.5' must be a whole number of at least 1.",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_RUNTIME_HOST", "{env.SECRET}"),
        ("MLFLOW_RUNTIME_HOST", "127.0.0.1:80"),
        ("PORT", "0"),
        ("PORT", "٣"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "10.0.0.4"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "10.0.0.4:0"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "10.0.0.4:5000-5010"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "unix//tmp/socket:1"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "http://a:1"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "fd00::1:5000"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "a:1,"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "a:1,a:1"),
        ("MLFLOW_RUNTIME_TRACKING_UPSTREAMS", "{http.request.host}:80"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "*.example.com"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "https://example.com"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "example.com/"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "a,,b"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "A,a"),
        ("MLFLOW_RUNTIME_PUBLIC_HOSTS", "-a"),
        ("MLFLOW_RUNTIME_MAX_BODY_MIB", "0"),
        ("MLFLOW_RUNTIME_MAX_BODY_MIB", "-1"),
        ("MLFLOW_RUNTIME_GRACE_SECONDS", "2"),
        ("MLFLOW_RUNTIME_GRACE_SECONDS", ""),
        ("MLFLOW_RUNTIME_MAX_BODY_MIB", ""),
        ("MLFLOW_RUNTIME_UPSTREAM_TLS", ""),
        ("MLFLOW_RUNTIME_UPSTREAM_CHECKS", "maybe"),
        ("MLFLOW_RUNTIME_DRAIN_SECONDS", "28"),
    ],
)
def test_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^The gateway cannot start.*\n{name}: "):
        from_environment({**GOOD, name: value})


def listed(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(items, min_size=1, max_size=4, unique_by=str.lower).map(",".join)


def with_port(hosts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(hosts, st.integers(1, 65535)).map(lambda pair: f"{pair[0]}:{pair[1]}")


def numbers(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(str)


NAMES = st.from_regex(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,10}[a-zA-Z0-9])?(\.[a-z0-9]{1,10}){0,3}", fullmatch=True)
IPV4 = st.ip_addresses(v=4).map(str)
IPV6 = st.ip_addresses(v=6).map(str)
HOSTS = NAMES | IPV4 | IPV6.map("[{}]".format)

ENVIRONMENTS = st.fixed_dictionaries(
    {
        "PORT": numbers(1, 65535),
        **{f"MLFLOW_RUNTIME_{role.name}_UPSTREAMS": listed(with_port(HOSTS)) for role in ServiceRole},
        "MLFLOW_RUNTIME_PUBLIC_HOSTS": listed(HOSTS | with_port(HOSTS)),
    },
    optional={
        "MLFLOW_RUNTIME_HOST": NAMES | IPV4 | IPV6,
        "MLFLOW_RUNTIME_UPSTREAM_TLS": st.sampled_from(["true", "false"]),
        "MLFLOW_RUNTIME_UPSTREAM_CHECKS": st.sampled_from(["true", "false"]),
        "MLFLOW_RUNTIME_MAX_BODY_MIB": numbers(1, 10 * 1024 * 1024),
        "MLFLOW_RUNTIME_MAX_ARTIFACT_MIB": numbers(1, 10 * 1024 * 1024),
        "MLFLOW_RUNTIME_GRACE_SECONDS": numbers(13, 3600),
        "MLFLOW_RUNTIME_DRAIN_SECONDS": numbers(0, 10),
    },
)


@settings(max_examples=25)
@given(ENVIRONMENTS)
def test_caddy_accepts_whatever_is_rendered(env: dict[str, str]) -> None:
    config = render(from_environment(GOOD | env))
    assert json.loads(json.dumps(config)) == config
    caddy.validate(caddy.find(), config, os.environ)


def test_only_the_port_leads_in_and_nothing_is_kept() -> None:
    config = render(from_environment(GOOD))
    assert config["admin"] == {"disabled": True, "config": {"persist": False}}
    assert config["apps"]["tls"] == {"disable_storage_clean": True}
    server = config["apps"]["http"]["servers"]["gateway"]
    assert server["listen"] == ["127.0.0.1:5500"]
    assert server["automatic_https"] == {"disable": True}
    assert server["protocols"] == ["h1"]


def test_a_watched_balancer_is_sent_requests_of_clients_only() -> None:
    """Calls through the ingress of Container Apps count for scaling, so a check would keep every service up."""
    rendered = [json.dumps(render(from_environment(GOOD | CHECKS[checks]))) for checks in (True, False)]
    assert ["health_checks" in config for config in rendered] == [True, False]
    # Nor does the gateway's own readiness ask anybody.
    assert ['"uri": "/ready"' in config for config in rendered] == [True, False]


def test_what_stands_still_ends_and_what_moves_does_not() -> None:
    server = render(from_environment(GOOD))["apps"]["http"]["servers"]["gateway"]
    ends = {"read_header_timeout", "read_idle_timeout", "read_min_rate", "write_idle_timeout", "idle_timeout"}
    assert ends <= server.keys()
    assert "write_timeout" not in server
    assert "read_timeout" not in server


def durations(found: Any) -> Iterator[float]:
    """The seconds of every time-out of a configuration."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key.endswith("timeout") and isinstance(value, str):
                yield float(value.removesuffix("s"))
            yield from durations(value)
    elif isinstance(found, list):
        for value in found:
            yield from durations(value)


def test_the_gateway_gives_up_before_an_ingress_ends_the_request() -> None:
    """Container Apps ends it after 240 s, with an answer of its own that has no request id and no reason."""
    server = render(from_environment(GOOD))["apps"]["http"]["servers"]["gateway"]
    found = list(durations(server))
    assert len(found) > 4
    assert max(found) < 240
