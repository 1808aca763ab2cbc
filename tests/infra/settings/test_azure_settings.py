"""The Azure part of a stack's configuration: defaults by profile, and every problem in one message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.azure.artifact_store import Redundancy
from components.azure.postgres_size import HighAvailability
from components.mlflow.access import DEFAULT_WORKSPACE, PLATFORM_ADMIN, RESERVED_WORKSPACES, ROLES
from components.mlflow.runtime_contract import CONTRACT
from infra.azure.services import topology
from infra.settings.access import SHARED_EXPERIMENT, SHARED_MODEL
from infra.settings.azure import AzureSettings, DataClassification
from infra.settings.consistency import RESERVED_TAGS
from infra.settings.model import SettingsError, parse
from infra.settings.profiles import ComputeKind
from infra.tags import tags
from mlflow_runtime.middleware.access import roles as runtime_roles
from mlflow_runtime.middleware.access import settings as runtime_access
from tests.support.role_environment import TOPOLOGY
from tests.support.stacks import DIGEST, configuration, graph

LEAST: dict[str, Any] = {
    "profile": "dev",
    "location": "westeurope",
    "tags": {"owner": "ml-platform", "costCenter": "research", "dataClassification": "internal"},
    "image": {"digest": DIGEST},
}
CERTIFICATE = (
    "/subscriptions/s/resourceGroups/rg-mlflow-dev/providers/Microsoft.App/managedEnvironments/cae-mlflow-dev"
    "/managedCertificates/mlflow"
)
GUID = "11111111-1111-1111-1111-111111111111"


def entra(**more: Any) -> dict[str, Any]:
    """Return access control with one team."""
    return {"access": {"mode": "entra", "tenantId": GUID, "clientId": GUID, **more}, "teams": ["team-a"]}


ENTRA = entra()
COMMIT = "9" * 40
RELEASE = {
    "digest": DIGEST,
    "commit": COMMIT,
    "mlflow": "3.17.2",
    "schema": "dc11669786a5",
    "contract": CONTRACT,
}


def azure(**values: Any) -> AzureSettings:
    found = parse({**LEAST, **values}, "dev").azure
    assert found is not None
    return found


def problems(stack: str = "dev", **values: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse({**LEAST, **values}, stack)
    return str(caught.value).splitlines()[1:]


def test_a_profile_gives_what_the_file_does_not() -> None:
    dev, prod = azure(), azure(profile="prod", monitoring=configuration("prod")["monitoring"])
    assert parse(LEAST, "dev").compute is ComputeKind.CONTAINER_APPS
    assert (dev.protect, dev.zone_redundant, dev.private_registry) == (False, False, False)
    assert (prod.protect, prod.zone_redundant, prod.private_registry) == (True, True, True)
    assert prod.database.high_availability is HighAvailability.ZONE_REDUNDANT
    assert dev.storage.redundancy is Redundancy.LOCAL
    assert dev.tags.data_classification is DataClassification.INTERNAL
    assert dev.github is None
    assert (dev.soak_hours, prod.soak_hours) == (1, 24)


def test_an_image_is_a_release_or_a_digest_alone() -> None:
    release, alone = azure(image=RELEASE).image, azure().image
    assert {"digest": release.digest, **release.described} == RELEASE
    assert (alone.digest, {*alone.described.values()}) == (DIGEST, {None})


def test_what_the_file_gives_wins() -> None:
    found = azure(
        protect="true",
        purgeProtection=True,
        database={"sku": "Standard_D4ds_v5", "highAvailability": "same-zone", "backupDays": "21"},
        storage={"coolAfterDays": 10, "softDeleteDays": 60},
        network={"cidr": "10.9.0.0/23", "clientRanges": ["10.0.0.0/8"], "internetOutbound": True},
        github={"repository": "acme/mlflow"},
    )
    assert found.protect is True
    assert found.database.sku == "Standard_D4ds_v5"
    assert found.database.backup_days == 21
    assert found.storage.lifecycle.cool_after == 10
    assert found.storage.lifecycle.cold_after == 365
    assert found.network.client_ranges == ("10.0.0.0/8",)
    assert found.github is not None
    assert (found.github.deploy_environment, found.github.preview_environment) == ("dev", "dev-preview")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"location": ""}, "location: '' is not allowed; allowed: a region, as in westeurope"),
        ({"tags": {}}, "tags.owner: None is not allowed"),
        ({"tags": {**LEAST["tags"], "dataClassification": "secret"}}, "allowed: public, internal, confidential"),
        ({"tags": {**LEAST["tags"], "extra": {"stack": "x"}}}, "allowed: names that the program does not set itself"),
        ({"tags": {**LEAST["tags"], "extra": {f"t{n}": "x" for n in range(9)}}}, "an object of at most 8 names"),
        (
            {"image": {}},
            "image.digest: None is not allowed; allowed: sha256: and 64 hexadecimal digits",
        ),
        ({"image": {"digest": "latest"}}, "image.digest: 'latest' is not allowed"),
        (
            {"image": {**RELEASE, "contract": CONTRACT + 1}},
            f"{CONTRACT}, the contract of this program with the image's roles; deploy the image by the program that it "
            f"is built with, `git checkout {COMMIT} -- . ':!stacks'`",
        ),
        ({"image": {**RELEASE, "commit": COMMIT[:12]}}, "image.commit: '999999999999' is not allowed; allowed: 40 hex"),
        ({"image": {**RELEASE, "schema": "head"}}, "image.schema: 'head' is not allowed; allowed: 12 hexadecimal"),
        (
            {"image": {**RELEASE, "mlflow": "latest"}},
            "image.mlflow: 'latest' is not allowed; allowed: a version, as in",
        ),
        (
            {"image": {"digest": DIGEST, "commit": COMMIT}},
            "none; mlflow, schema, contract is missing; run `pulumi config rm --path image.commit -s dev`",
        ),
        ({"image": {**RELEASE, "digest": "none"}}, "allowed: these keys only with a digest"),
        ({"soakHours": 721}, "soakHours: 721 is not allowed; allowed: a whole number from 0 to 720"),
        ({"ingress": "external"}, "ingress: 'external' is not allowed; allowed: internal, public"),
        ({"access": {"mode": "oauth"}}, "access.mode: 'oauth' is not allowed; allowed: none, entra"),
        ({"access": "entra"}, "access: 'entra' is not allowed; allowed: an object with the keys mode, tenantId"),
        ({"access": {"mode": "entra"}}, "config set --path access.tenantId 11111111-1111-1111-1111-111111111111"),
        ({"access": {"mode": "entra", "tenantId": "contoso.com"}}, "allowed: a GUID in lower case, as in"),
        ({"access": {"blocked": [GUID]}, "teams": ["team-a"]}, "allowed: only with access.mode entra"),
        ({"domain": {"host": "MLflow.example.com"}}, "allowed: a name in lower case, as in mlflow.example.com"),
        ({"domain": {"host": "localhost"}}, "allowed: a name in lower case, as in mlflow.example.com"),
        (
            {"domain": {"certificate": "mine"}},
            "allowed: the id of a certificate of the stack's environment",
        ),
        ({"domain": {"certificate": CERTIFICATE}}, "allowed: only with domain.host, the name that it is for"),
        (
            {"domain": {"host": "mlflow.example.com", "certificate": CERTIFICATE}},
            "allowed: a certificate from a Key Vault, as Azure issues and renews its own only for ingress public",
        ),
        (
            {"domain": {"host": "mlflow.example.com", "certificate": CERTIFICATE.replace("mlflow-dev", "mlflow-prod")}},
            "allowed: a certificate of the stack's own environment, whose id contains /resourceGroups/rg-mlflow-dev/",
        ),
        ({"compute": "aks", "domain": {"host": "mlflow.example.com"}}, "allowed: only with compute container_apps"),
        ({**ENTRA, "teams": ["team-a", "team-a"]}, "teams[1]: 'team-a' is not allowed; allowed: each of them once"),
        ({**ENTRA, "teams": ["Team"]}, "allowed: a list of names of 2 to 63 lower-case letters"),
        ({**ENTRA, "teams": ["default"]}, "allowed: another name, as default is the platform's own"),
        (entra(groups={GUID: ["team-b.Reader"]}), "allowed: roles in the workspaces default, team-a"),
        ({**ENTRA, "shares": {"team-b": ["team-a"]}}, "allowed: one of default, team-a as the team"),
        ({**ENTRA, "shares": {"team-a": ["team-a"]}}, "allowed: other teams of the stack: default"),
        ({**ENTRA, "shares": {"team-a": "default"}}, "EXPERIMENT-ID, each with a list of other teams"),
        ({**ENTRA, "shares": {"team-b/models/churn": ["team-a"]}}, "allowed: one of default, team-a as the team"),
        ({**ENTRA, "shares": {"team-a/models/churn": ["team-a"]}}, "allowed: other teams of the stack: default"),
        ({**ENTRA, "shares": {"team-a/models/a*b": ["default"]}}, "TEAM/models/NAME or TEAM/artifacts/EXPERIMENT-ID"),
        ({**ENTRA, "shares": {"team-a/artifacts/x": ["default"]}}, "TEAM/models/NAME or TEAM/artifacts/EXPERIMENT-ID"),
        ({**ENTRA, "quotas": {"team-b": 5}}, "quotas.team-b: 5 is not allowed; allowed: one of default, team-a as the"),
        ({**ENTRA, "quotas": {"team-a": 0}}, "each with a whole number of GiB from 1 to 5000000"),
        ({"quotas": {"default": 5}}, "allowed: only with access.mode entra"),
        ({"shares": {"team-a": ["team-b"]}}, "allowed: only with access.mode entra"),
        (entra(groups={GUID: ["team-a.Owner"]}), "WORKSPACE.Reader|Contributor|Registrar|Admin or Platform.Admin"),
        ({"protect": "maybe"}, "protect: 'maybe' is not allowed; allowed: true, false, auto"),
        ({"network": {"cidr": "8.8.8.0/24"}}, "8.8.8.0/24 is not private"),
        ({"network": {"cidr": "10.0.0.0/28"}}, "too small for postgres /28"),
        ({"network": {"clientRanges": ["10.0.0.1/8"]}}, "10.0.0.1/8 has host bits set"),
        ({"network": {"clientRanges": "10.0.0.0/8"}}, "allowed: a list of IPv4 ranges as in 10.0.0.0/8"),
        ({"database": {"sku": "Standard_F2"}}, "sku: 'Standard_F2' is no size of a server; there are Standard_B1ms"),
        ({"database": {"sku": "Standard_D3ds_v5"}}, "sku: 'Standard_D3ds_v5' is no size of a server"),
        ({"database": {"sku": "Standard_D2ds_v9"}}, "the series s_v3, ds_v4, ds_v5, ads_v5 of the families D and E"),
        ({"database": {"sku": "Standard_B3ms"}}, "sku: 'Standard_B3ms' is no size of a server"),
        ({"database": {"highAvailability": "zone-redundant"}}, "Azure has no standby for burstable sizes"),
        ({"database": {"storageGib": 100}}, "storage_gib: 100; Azure has the sizes 32, 64, 128"),
        (
            {"storage": {"coolAfterDays": 400}},
            "coldAfterDays: 365 is not allowed; allowed: more than coolAfterDays, 400",
        ),
        ({"monitoring": {"emails": ["nobody"]}}, "monitoring.emails[0]: 'nobody' is not allowed"),
        ({"monitoring": {"metricsSeconds": 301}}, "monitoring.metricsSeconds: 301 is not allowed"),
        ({"monitoring": {"monthlyBudget": 100}}, "allowed: at least one address with a monthlyBudget"),
        ({"github": {"repository": "acme"}}, "repository: 'acme' is not of the form owner/name"),
        (
            {"github": {"repository": "a/b", "deployEnvironment": "x", "previewEnvironment": "x"}},
            "a preview must not hold the rights of a deployment",
        ),
        ({"nameGeneration": "NEW"}, "nameGeneration: 'NEW' is not allowed"),
        ({"local": {"portBase": 6000}}, "local: {'portBase': 6000} is not allowed; allowed: only with compute local"),
        ({"compute": "local"}, "local with profile local, container_apps or aks with dev, staging and prod"),
        ({"aks": {"minNodes": 3}}, "aks: {'minNodes': 3} is not allowed; allowed: only with compute aks"),
        ({"compute": "aks", "aks": {"kubernetesVersion": "1.35.2"}}, "expected a minor without a patch, 1.35 or later"),
        ({"compute": "aks", "aks": {"nodeSize": "Standard_B2s"}}, "expected one of Standard_D2ads_v5"),
        ({"compute": "aks", "aks": {"minNodes": 5}}, "aks.minNodes: 5 is not allowed; allowed: at most maxNodes, 3"),
        ({"compute": "aks", "aks": {"authorizedRanges": ["0.0.0.0/0"]}}, "0.0.0.0/0 is the whole internet"),
        ({"compute": "aks", "aks": {"host": "MLflow"}}, "aks.host: 'MLflow' is not allowed"),
        (
            {"compute": "aks", "aks": {"generation": "red"}},
            "aks.generation: 'red' is not allowed; allowed: blue, green",
        ),
        (
            {"compute": "aks", "tracking": {"memoryMib": 8192}},
            "expected at most 2 cores and 4915 MiB, which a Standard_D2ads_v5 has room for",
        ),
        ({"compute": "aks", "network": {"cidr": "10.40.0.0/25"}}, "the smallest prefix that fits is /24"),
        (
            {"compute": "aks", "ingress": "public"},
            "ingress: 'public' is not allowed; allowed: internal with compute aks",
        ),
    ],
)
def test_a_problem_says_what_is_allowed(values: dict[str, Any], expected: str) -> None:
    found = problems(**values)
    assert any(expected in line for line in found), found
    assert all("`pulumi " in line or "`git " in line for line in found), "each has a command to run"


def test_all_problems_come_at_once() -> None:
    assert len(problems(location="", tags={}, image={}, ingress="public")) == 6


def test_items_of_a_list_are_removed_from_the_last_one_on() -> None:
    """A removal renumbers what follows, so the commands are pasted one after the other as they stand."""
    one, other, last = (GUID[:-1] + digit for digit in "123")
    lists = {"teams": ["api", "default", "team-a"], "shares": {"team-a": ["x", "y"]}}
    found = problems(**(entra(blocked=[one, one, other, other, last]) | lists))
    fields = [each.removeprefix("  - ").partition(":")[0] for each in found]
    assert [field for field in fields if field.startswith("access.")] == ["access.blocked[3]", "access.blocked[1]"]
    assert [field for field in fields if field.startswith("shares.")] == ["shares.team-a[1]", "shares.team-a[0]"]
    assert [field for field in fields if field.startswith("teams")] == ["teams[1]", "teams[0]"]


def test_a_name_that_azure_reserves_is_refused_as_a_stack() -> None:
    assert "which Azure reserves" in problems(stack="windows")[0]


def test_no_tag_of_the_programs_own_can_be_given_as_another() -> None:
    assert {*tags(parse(LEAST, "dev"))} == {*RESERVED_TAGS}


def test_azure_keys_are_refused_on_the_local_stack() -> None:
    with pytest.raises(SettingsError, match="location: 'westeurope' is not allowed; allowed: only with compute cont"):
        parse({"profile": "local", "location": "westeurope"}, "local")


scalars = st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=6) | st.just("auto")


def table(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with these keys, or something else altogether."""
    return some | st.fixed_dictionaries(known)


def test_a_public_gateway_takes_access_control() -> None:
    roles = entra(groups={GUID: ["team-a.Reader", "Platform.Admin"]})
    shares = {"team-a": ["default"], "team-a/models/churn-*": ["default"], "team-a/artifacts/12": ["default"]}
    found = parse({**LEAST, **roles, "shares": shares, "ingress": "public"}, "dev")
    assert (found.teams, found.access.groups) == (("team-a",), {GUID: ("team-a.Reader", "Platform.Admin")})
    public = topology(found, identities={}, data=TOPOLOGY.data, host="mlflow.example.com", clients_reach_blob=False)
    assert public.access is not None
    assert public.access.settings() == {
        "ACCESS_MODE": "entra",
        "ACCESS_TENANT_ID": GUID,
        "ACCESS_CLIENT_ID": GUID,
        "ACCESS_TEAMS": "team-a",
        "ACCESS_SHARES": "team-a=default,team-a/models/churn-*=default,team-a/artifacts/12=default",
        "ACCESS_GROUPS": f"{GUID}=team-a.Reader,{GUID}=Platform.Admin",
    }


def test_roles_and_names_are_those_of_the_runtime() -> None:
    assert tuple(role.title for role in runtime_roles.Role) == ROLES
    assert (runtime_roles.PLATFORM_ADMIN, runtime_access.DEFAULT_WORKSPACE) == (PLATFORM_ADMIN, DEFAULT_WORKSPACE)
    assert {*RESERVED_WORKSPACES} == runtime_access.RESERVED
    assert (SHARED_MODEL, SHARED_EXPERIMENT) == (runtime_access.SHARED_MODEL, runtime_access.SHARED_EXPERIMENT)


some = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=5), scalars, max_size=2)


@settings(max_examples=60)
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "tags": table(owner=scalars, costCenter=scalars, dataClassification=scalars),
            "image": table(digest=scalars),
            "network": table(cidr=st.sampled_from(["10.1.0.0/24", "x"]) | scalars),
            "database": table(sku=scalars, backupDays=scalars, highAvailability=scalars),
            "storage": table(redundancy=scalars, coolAfterDays=scalars),
            "monitoring": table(emails=some, metricsSeconds=scalars, monthlyBudget=scalars),
            "github": table(repository=st.just("a/b") | scalars),
            "location": scalars,
            "ingress": scalars,
            "access": table(mode=scalars, tenantId=scalars, groups=some, blocked=some),
            "teams": some,
            "shares": some,
            "quotas": some,
            "protect": scalars,
            "zoneRedundant": scalars,
            "nameGeneration": scalars,
        },
    )
)
def test_any_input_gives_settings_or_a_settings_error(values: dict[str, Any]) -> None:
    try:
        outcome = parse({**LEAST, **values}, "dev").stack
    except SettingsError as error:
        outcome = str(error)
    assert outcome == "dev" or outcome.startswith("The configuration of stack dev cannot be used:")


@settings(max_examples=10)
@given(
    profile=st.sampled_from(["dev", "staging", "prod"]),
    database=st.fixed_dictionaries(
        {},
        optional={
            "sku": st.sampled_from([f"Standard_{size}" for size in ("B1ms", "B2s", "D2ds_v5", "E4ds_v5", "F1")]),
            "backupDays": st.integers(6, 36),
            "highAvailability": st.sampled_from([*HighAvailability]),
            "storageGib": st.sampled_from([32, 64, 100]),
        },
    ),
    artifacts=st.fixed_dictionaries(
        {},
        optional={
            "cpu": st.sampled_from([0.25, 0.3, 1, 4, 8]),
            "memoryMib": st.sampled_from([512, 2048, 8192]),
            "spoolMib": st.sampled_from([0, 1024, 8192]),
        },
    ),
    network=st.fixed_dictionaries(
        {},
        optional={
            "fixedOutboundAddress": st.booleans(),
            "internetOutbound": st.booleans(),
            "cidr": st.sampled_from(["10.1.0.0/24", "10.1.0.0/25", "10.1.0.0/26", "172.30.0.0/24"]),
        },
    ),
    switches=st.fixed_dictionaries(
        {}, optional={key: st.booleans() for key in ("protect", "zoneRedundant", "privateRegistry")}
    ),
)
def test_what_settings_accept_no_component_refuses(
    profile: str, database: Any, artifacts: Any, network: Any, switches: Any
) -> None:
    """Else a mistake would show only after something was made."""
    monitoring = configuration("prod")["monitoring"]  # prod needs a budget
    values = {"database": database, "artifacts": artifacts, "network": network, "monitoring": monitoring, **switches}
    try:
        parse({**LEAST, "profile": profile, **values}, profile)
    except SettingsError:
        return
    assert "gateway" in graph(profile, **values).names
