"""What a program may rely on in every component of components/azure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_azure_native import managedidentity, network

from tests.components.azure.contract import discovered, foreign, problems
from tests.components.azure.examples import EXAMPLES, TAGS, Example
from tests.support import arm

ROOT = Path(__file__).parents[3]

CASES = [
    pytest.param(component, scenario, id=f"{component.__name__}-{scenario}")
    for component in discovered()
    for scenario in EXAMPLES.get(component, {"no-example": None})
]


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize(("component", "scenario"), CASES)
def test_every_component_keeps_the_contract(
    component: type[pulumi.ComponentResource], scenario: str, preview: bool
) -> None:
    assert component in EXAMPLES, (
        f"{component.__name__} has no example in tests/components/azure/examples.py; write one"
    )
    assert list(problems(component, EXAMPLES[component][scenario], preview=preview)) == []
    assert list(foreign(component.__module__)) == []


def test_no_component_escapes() -> None:
    assert {component.__name__ for component in discovered()} >= {
        "Network",
        "Postgres",
        "Monitoring",
        "ContainerAppsEnvironment",
    }
    assert set(EXAMPLES) <= set(discovered())


class Thing(pulumi.ComponentResource):
    """Keeps the contract; what is given to it breaks one part."""

    id: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        kind: str = "mlflow:azure:Thing",
        child: str = "{}-identity",
        physical: str = "id-{}",
        inside: bool = True,
        tags: Any = TAGS,
        registered: tuple[str, ...] | None = ("id",),
        body: str = "East US",
    ) -> None:
        super().__init__(kind, name, {})
        identity = managedidentity.UserAssignedIdentity(
            child.format(name),
            resource_group_name="rg",
            resource_name_=physical.format(name) if physical else None,
            location=body,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self if inside else None),
        )
        self.id = identity.id
        if registered is not None:
            self.register_outputs(dict.fromkeys(registered, self.id))


class Promising(Thing):
    """Declares what it does not have."""

    id: pulumi.Output[str]
    name: pulumi.Output[str]


class Inner(pulumi.ComponentResource):
    """A component inside of another."""

    def __init__(self, name: str, parent: pulumi.Resource) -> None:
        super().__init__("mlflow:azure:Inner", name, {}, pulumi.ResourceOptions(parent=parent))
        network.NetworkSecurityGroup(
            f"{name}-routes",
            resource_group_name="rg",
            network_security_group_name=f"rt-{name}",
            tags=TAGS,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def outer(name: str, inner: str = "{}-inner") -> Thing:
    thing = Thing(name)
    Inner(inner.format(name), thing)
    return thing


def nested(name: str) -> Thing:
    thing = Thing(name)
    group = network.NetworkSecurityGroup(
        f"{name}-rules",
        resource_group_name="rg",
        network_security_group_name=f"nsg-{name}",
        tags=TAGS,
        opts=pulumi.ResourceOptions(parent=thing),
    )
    network.NetworkSecurityGroup(
        f"{name}-routes",
        resource_group_name="rg",
        network_security_group_name=f"rt-{name}",
        tags=TAGS,
        opts=pulumi.ResourceOptions(parent=group),
    )
    return thing


def misspelt(name: str) -> Thing:
    thing = Thing(name)
    network.NetworkSecurityGroup(
        f"{name}-rules",
        resource_group_name="rg",
        network_security_group_name=f"nsg-{name}",
        tags=TAGS,
        security_rules=[{"name": "in", "priority": "100", "direction": "Sideways"}],  # type: ignore[list-item]
        opts=pulumi.ResourceOptions(parent=thing),
    )
    return thing


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize(
    ("example", "message"),
    [
        (lambda name: Thing(name, kind="mlflow:azure:Other"), "has the type mlflow:azure:Other"),
        (lambda name: Thing(name, registered=None), "registers no outputs"),
        (lambda name: Thing(name, registered=()), "registers []"),
        (lambda name: Thing(name, registered=("id", "key")), "registers ['id', 'key']"),
        (lambda name: Thing(name, child="identity"), "two instances collide"),
        (lambda name: Thing(name, child="identity"), "identity: does not begin with one-"),
        (lambda name: Thing(name, inside=False), "one-identity: is under no component"),
        (lambda name: Thing(name, tags=None), "one-identity: has not got the tags"),
        (lambda name: Thing(name, tags={"owner": "me"}), "one-identity: has not got the tags"),
        (lambda name: outer(name, inner="inner-{}"), "inner-one: does not begin with one-"),
        (lambda name: outer(name, inner="inner-{}"), "inner-one-routes: does not begin with one-"),
        (nested, "one-routes: is under no component"),
        (misspelt, "one-rules: Azure refuses"),
    ],
)
def test_a_component_that_breaks_the_contract_is_noticed(example: Example, message: str, preview: bool) -> None:
    assert list(problems(Thing, Thing, preview=preview)) == []
    assert list(problems(Thing, outer, preview=preview)) == []
    assert any(message in problem for problem in problems(Thing, example, preview=preview))


def test_an_output_that_is_declared_and_missing_is_noticed() -> None:
    def promising(name: str) -> Promising:
        return Promising(name, kind="mlflow:azure:Promising")

    assert next(problems(Promising, promising, preview=True)) == "one: has no attribute name, which it declares"


@arm.needs_schemas
@pytest.mark.parametrize(
    ("physical", "message"),
    [("id-mlflow", "two-identity: is on Azure the same as one-identity"), ("", "leaves its name 'resourceName' to")],
)
def test_a_physical_name_that_is_shared_or_left_open_is_noticed(physical: str, message: str) -> None:
    found = list(problems(Thing, lambda name: Thing(name, physical=physical), preview=False))
    assert any(message in problem for problem in found)


@pytest.mark.parametrize(
    ("below", "message"),
    [
        ("import infra.naming", "good.component: reaches infra"),
        ("from infra import naming", "good.component: reaches infra"),
        ("from infra.naming import x", "good.component: reaches infra.naming"),
        ("def late() -> None:\n    import infra.naming", "good.component: reaches infra.naming"),
        ("import pulumi\nwanted = pulumi.Config().get('x')", "good.below: reads pulumi.Config"),
        ("import pulumi as p\nwanted = p.Config().get('x')", "good.below: reads pulumi.Config"),
        ("from pulumi import Config", "good.below: reads pulumi.Config"),
        ("import pulumi\nother = pulumi.Output", None),
    ],
)
def test_what_belongs_to_the_program_is_noticed_however_deep(tmp_path: Path, below: str, message: str | None) -> None:
    for package in ("good", "infra"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "infra" / "naming.py").touch()
    (tmp_path / "good" / "component.py").write_text("from good import between\n")
    (tmp_path / "good" / "between.py").write_text("import good.below\n")
    (tmp_path / "good" / "below.py").write_text(below)
    found = list(foreign("good.component", tmp_path))
    assert message in found if message else found == []


# What state holds for good: type tokens, and the namespaces that physical names are computed in.
SETTLED = re.compile(r"mlflow:(azure|compute):|urn:mlflow-platform:")


def lines_about_mlflow(text: str) -> list[str]:
    """Return the lines that only an MLflow platform would have."""
    return [line for line in text.splitlines() if "mlflow" in SETTLED.sub("", line).lower()]


def test_no_azure_component_knows_of_mlflow() -> None:
    files = sorted((ROOT / "components" / "azure").rglob("*.py"))
    assert len(files) > 15
    found = {file.name: lines for file in files if (lines := lines_about_mlflow(file.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "from components.mlflow.observability import workbook",
        'display_name="MLflow on call"',
        'super().__init__("mlflow:mlflow:Platform", name)',
        '"mlflow:azure:Postgres"  # for mlflow',
    ],
)
def test_a_word_of_mlflow_is_noticed(line: str) -> None:
    assert lines_about_mlflow(f'super().__init__("mlflow:azure:Postgres", name)\n{line}\n') == [line]
