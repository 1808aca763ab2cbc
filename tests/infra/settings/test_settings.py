"""A stack's configuration is either one frozen Settings or one message with every problem in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.mlflow.roles import Role
from infra.settings import bootstrap
from infra.settings.model import KEYS, SettingsError, parse
from infra.settings.profiles import PROFILES, ComputeKind, ProfileName

REPOSITORY = Path(__file__).parents[3]
PREFIX = "mlflow-platform:"


def problems(values: dict[str, Any], stack: str = "local") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(values, stack)
    return str(caught.value).splitlines()[1:]


def test_the_profile_alone_gives_its_defaults() -> None:
    settings = parse({"profile": "local"}, "local")
    assert settings.compute is ComputeKind.LOCAL
    assert settings.sizes == PROFILES[ProfileName.LOCAL].sizes
    assert settings.limits.max_body_mib == 64
    assert settings.local.port_base == 5500


def test_what_is_given_wins_over_the_profile() -> None:
    settings = parse(
        {"profile": "local", "tracking": {"minReplicas": 3, "cpu": "1.5"}, "local": {"portBase": 7000}}, "x"
    )
    assert settings.sizes[Role.TRACKING].scale.minimum == 3
    assert settings.sizes[Role.TRACKING].scale.maximum == 3
    assert settings.sizes[Role.TRACKING].cpu == 1.5
    assert settings.sizes[Role.REGISTRY] == PROFILES[ProfileName.LOCAL].sizes[Role.REGISTRY]
    assert settings.local.port_base == 7000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "profile: None is not allowed; allowed: local, dev, staging, prod"),
        ({"profile": "production"}, "profile: 'production' is not allowed; allowed: local, dev, staging, prod"),
        ({"profile": "local", "trakcing": {}}, "trakcing: {} is not allowed; allowed: the keys profile, compute"),
        ({"profile": "local", "tracking": {"replicas": 2}}, "tracking.replicas: 2 is not allowed; allowed: the keys"),
        ({"profile": "local", "tracking": 3}, "tracking: 3 is not allowed; allowed: an object with the keys"),
        ({"profile": "local", "tracking": {"cpu": "many"}}, "tracking.cpu: 'many' is not allowed; allowed: a number"),
        ({"profile": "local", "tracking": {"cpu": True}}, "tracking.cpu: True is not allowed; allowed: a number"),
        ({"profile": "local", "tracking": {"minReplicas": 1.5}}, "allowed: a whole number from 0 to 100"),
        ({"profile": "local", "tracking": {"minReplicas": "two"}}, "allowed: a whole number from 0 to 100"),
        (
            {"profile": "local", "tracking": {"minReplicas": 5, "maxReplicas": 2}},
            "tracking.minReplicas: 5 is not allowed; allowed: at most maxReplicas, 2; lower the one or raise the other",
        ),
        ({"profile": "prod", "compute": "local"}, "compute: 'local' is not allowed"),
        ({"profile": "local", "compute": "aks"}, "compute: 'aks' is not allowed"),
        ({"profile": "local", "compute": "cloud"}, "compute: 'cloud' is not allowed; allowed: local, container_apps"),
        ({"profile": "local", "gateway": {"minReplicas": 2}}, "gateway.minReplicas: 2 is not allowed; allowed: 1 to 1"),
        ({"profile": "local", "registry": {"minReplicas": 0}}, "registry.minReplicas: 0 is not allowed"),
        ({"profile": "local", "local": {"portBase": 80}}, "local.portBase: 80 is not allowed"),
        ({"profile": "local", "local": {"stateDirectory": " "}}, "local.stateDirectory: ' ' is not allowed"),
        ({"profile": "local", "local": {"image": "--privileged"}}, "local.image: '--privileged' is not allowed"),
        ({"profile": "local", "local": {"image": ""}}, "local.image: '' is not allowed"),
        ({"profile": "local", "limits": {"graceSeconds": 0}}, "limits.graceSeconds: 0 is not allowed"),
        (
            {"profile": "local", "github": None},
            "github: None is not allowed; allowed: only with compute container_apps",
        ),
        ({"profile": "local", "tracking": {"`": 1}}, "run `pulumi config rm --path 'tracking[\"`\"]' -s local`"),
        ({"profile": "dev", "local": {"portBase": 5000}}, "local: {'portBase': 5000} is not allowed"),
    ],
)
def test_what_cannot_be_used_is_named_with_value_limit_and_remedy(values: dict[str, Any], expected: str) -> None:
    found = problems(values)
    assert any(expected in line for line in found), found
    assert all(line.count(";") >= 2 for line in found), "each names what is allowed and what to do"
    assert all("`pulumi " in line for line in found), "each has a command to run"


def test_a_stack_with_an_unusable_name_is_refused() -> None:
    assert "stack: 'Local_1' is not allowed" in problems({"profile": "local"}, "Local_1")[0]


def test_all_problems_are_in_one_message() -> None:
    values = {"profile": "local", "nonsense": 1, "tracking": {"cpu": -1, "memoryMib": "x"}, "local": {"portBase": 1}}
    assert len(problems(values)) == 4


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
inner_keys = st.text(max_size=5) | st.sampled_from(["cpu", "minReplicas", "maxBodyMib", "portBase", "image"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(inner_keys, inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from([*KEYS]), anything, max_size=4))
def test_any_input_gives_settings_or_a_settings_error(values: dict[str, Any]) -> None:
    try:
        outcome = parse({"profile": "local", **values}, "local").stack
    except SettingsError as error:
        outcome = str(error)
    assert outcome == "local" or outcome.startswith("The configuration of stack local cannot be used:")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "stacks").glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_stack_files_hold_only_known_keys(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    schema = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    keys = {key.removeprefix(PREFIX) for key in document["config"]}
    assert keys <= schema.keys()
    values = {key: document["config"][PREFIX + key] for key in keys}
    reader = bootstrap.parse if values["profile"] == bootstrap.BOOTSTRAP else parse
    reader(values, path.name.split(".")[1])


def test_the_schema_and_the_model_know_the_same_keys() -> None:
    schema = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    assert schema.keys() == KEYS.keys()
    assert all(entry["description"] for entry in schema.values())
    unknown = problems({"profile": "local", "?": 1})[0]
    assert all(f" {key}" in unknown for key in schema)


def test_the_schemas_defaults_decide_nothing() -> None:
    """A default in the schema would be a second one: those of the model and of the profiles are the only ones."""
    schema = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    defaults = {key: entry["default"] for key, entry in schema.items() if key != "profile"}
    assert {key: default for key, default in defaults.items() if default not in ("auto", {}, [])} == {}
    assert parse({"profile": "local", **defaults}, "local") == parse({"profile": "local"}, "local")
