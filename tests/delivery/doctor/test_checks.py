"""Each check of the doctor, over facts in which all is well but one thing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.doctor import report
from delivery.doctor.azure import Azure
from delivery.doctor.checks import CHECKS, Command, Finding, Result, made
from delivery.doctor.checks.repository import wanted
from delivery.doctor.facts import Facts, Registry, _ranges, settings_of
from delivery.doctor.github import Environment, GitHub
from delivery.doctor.missing import Missing
from delivery.doctor.registration import Registration, ask
from delivery.doctor.state_account import Assignment, StateAccount
from delivery.outcome import ExitCode
from delivery.pulumi.installation import REPOSITORY
from delivery.pulumi.project import stack_document
from infra.settings.problems import SettingsError
from tests.support.advice import problem
from tests.support.stacks import DIGEST
from tools.pulumi.kinds import FILES

CONFIG = {
    **stack_document(REPOSITORY, "staging")["config"],
    "mlflow-platform:image": {"digest": DIGEST},
    "azure-native:subscriptionId": "0",
}
FILE = {"config": CONFIG, "encryptedkey": "a", "secretsprovider": "azurekeyvault://kv/keys/pulumi-staging"}
VERSION = "3.274.1"
PROVIDER = {"type": "pulumi:providers:azure-native", "urn": "u::p", "inputs": {"version": "3.29.0"}}
AZURE = Azure(
    first=True,
    location="westeurope",
    subscription="0",
    tenant="t",
    home="t",
    enabled="Enabled",
    providers={"Microsoft.App": "Registered", "Microsoft.Storage": "Registered"},
    features={},
    environments=(0, 15),
    cores={"cores": (0, 100), "standardddsv5family": (0, 100)},
    sizes=["Standard_D2ds_v5"],
    zones=True,
    taken={},
    deleted=None,
    actions=[(["*"], [])],
)
GITHUB = GitHub(
    repository="example/mlflow-platform",
    environments={
        name: Environment(reviewers=1, branches=["main"], variables=[wanted(name)[0]])
        for name in ("staging", "staging-preview")
    },
    variables=wanted("staging")[1:],
    reviewed=True,
    owned=True,
    token_writes=False,
    token_proposes=True,
)
_OF_STATE = "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/st1"
_WRITES = "Storage Blob Data Contributor"
STATE = StateAccount(
    id=_OF_STATE,
    container="pulumi-staging",
    shared_keys=False,
    assignments=[
        Assignment(id="a1", role=_WRITES, principal="TEAM", kind="Group"),
        Assignment(id="a2", role=_WRITES, principal="deploys", kind="ServicePrincipal"),
    ],
    identities={"id-mlflow-staging-deploy": "deploys", "id-mlflow-prod-deploy": "deploys-prod"},
)
WELL = Facts(
    stack="staging",
    environ={},
    pinned=VERSION,
    engine=VERSION,
    companions=list(FILES),
    locked={"pulumi-azure-native": "3.29.0"},
    packages={"pulumi-azure-native": "3.29.0"},
    changed=[],
    file=FILE,
    settings=settings_of(FILE, "staging"),
    problems=(),
    ranges={"dev": "10.40.0.0/24", "staging": "10.40.1.0/24"},
    backend="azblob://staging",
    state={"deployment": {"manifest": {"version": f"v{VERSION}"}, "resources": [PROVIDER]}},
    lock=None,
    azure=AZURE,
    github=GITHUB,
    registry=Registry(place="acr1.azurecr.io/mlflow-platform", has_image=True),
    state_account=STATE,
    administrators="team",
    registration=Missing("the stack has no access control"),
)


def found(facts: Facts, name: str) -> Finding:
    return next(finding for check, finding in made(facts) if check.name == name)


def state(**deployment: Any) -> Mapping[str, Any]:
    return {"deployment": {"manifest": {"version": f"v{VERSION}"}, "resources": [PROVIDER], **deployment}}


def configured(**config: Any) -> dict[str, Any]:
    file = {**FILE, "config": {**CONFIG, **{f"mlflow-platform:{key}": value for key, value in config.items()}}}
    return {"file": file, "settings": settings_of(file, "staging")}


def test_where_all_is_well_nothing_is_to_be_done() -> None:
    results = {check.name: finding for check, finding in made(WELL)}
    assert {name: finding.what for name, finding in results.items() if finding.result is not Result.OK} == {
        "workflow's sign-in": "not in a workflow of GitHub"
    }
    assert [finding.remedies for finding in results.values() if finding.remedies] == []
    assert report.exit_code(made(WELL)) is ExitCode.DONE


RESOURCE = {"urn": "urn::pulumi::a::store", "type": "azure-native:storage:StorageAccount"}
WORKFLOW = {"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": "u", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
_APP = "22222222-2222-2222-2222-222222222222"
_ROLES = {f"default.{role}" for role in ("Reader", "Contributor", "Registrar", "Admin")} | {"Platform.Admin"}
REGISTRATION = Registration(
    name="mlflow-staging",
    version=2,
    redirects=frozenset({"https://mlflow.example.com/access/callback"}),
    roles=frozenset(_ROLES),
    subjects=frozenset({"principal-of-tracking"}),
)


def registered(*, url: str = "https://mlflow.example.com", **changes: Any) -> dict[str, Any]:
    """Facts of a stack with access control, whose registration is well but for the changes."""
    outputs = {"type": "pulumi:pulumi:Stack", "urn": "u::s", "outputs": {"url": url}}
    access = configured(access={"mode": "entra", "tenantId": _APP, "clientId": _APP})
    registration = replace(REGISTRATION, **changes)
    return {**access, "state": state(resources=[PROVIDER, outputs]), "registration": registration}


def test_a_registration_that_fits_the_stack_is_well() -> None:
    assert found(replace(WELL, **registered()), "app registration").result is Result.OK
    groups = configured(
        access={"mode": "entra", "tenantId": _APP, "clientId": _APP, "groups": {_APP: ["Platform.Admin"]}}
    )
    by_groups = replace(WELL, **{**registered(roles=frozenset()), **groups})
    assert found(by_groups, "app registration").result is Result.OK


def test_what_the_directory_says_is_read() -> None:
    answers: Mapping[str, Mapping[str, Any]] = {
        "?$select=displayName,api,web,appRoles": {
            "displayName": "mlflow-staging",
            "api": {"requestedAccessTokenVersion": 2},
            "web": {"redirectUris": ["https://mlflow.example.com/access/callback"]},
            "appRoles": [{"value": each, "isEnabled": True} for each in _ROLES] + [{"value": "x", "isEnabled": False}],
        },
        "/federatedIdentityCredentials": {"value": [{"subject": "principal-of-tracking"}]},
    }
    start = f"/v1.0/applications(appId='{_APP}')"
    assert ask(lambda path: answers[path.removeprefix(start)], _APP) == REGISTRATION
    refused = ask(lambda _: {"error": "Authorization_RequestDenied"}, _APP)
    assert isinstance(refused, Missing)
    assert f"does not show the registration {_APP}" in refused.reason


UNWELL = [
    ("app registration", registered(version=1), "failed", "issues tokens of version 1", "az rest --method PATCH"),
    ("app registration", registered(subjects=frozenset()), "failed", "trusts no identity", ""),
    ("app registration", registered(roles=frozenset()), "warning", "has no app role Platform.Admin, default.Admin", ""),
    (
        "app registration",
        registered(url="https://other.example.com"),
        "failed",
        "does not send browsers back to https://other.example.com/access/callback",
        f"az ad app update --id {_APP} --web-redirect-uris https://mlflow.example.com/access/callback https://other",
    ),
    ("app registration", {**registered(), "registration": Missing("403 no")}, "not checked", "403 no", ""),
    ("engine", {"engine": "3.199.0"}, "failed", "3.200.0 or a later one is needed", "make engine"),
    ("engine", {"engine": "3.275.0"}, "warning", "by 3.274.1 alone", "export PULUMI_ENGINE=official"),
    ("engine", {"engine": Missing("no engine")}, "not checked", "no engine", ""),
    ("language host", {"companions": FILES[:1]}, "failed", "pulumi-language-python", "make engine"),
    ("packages", {"packages": {}}, "failed", "is missing (3.29.0 locked)", "make venv"),
    ("checkout", {"changed": ["a.py"]}, "failed", "a.py not committed", "git status"),
    (
        "secrets in the environment",
        {"environ": {"AZURE_STORAGE_KEY": "x", "ARM_CLIENT_SECRET": "y"}},
        "failed",
        "AZURE_STORAGE_KEY, ARM_CLIENT_SECRET set",
        "unset AZURE_STORAGE_KEY ARM_CLIENT_SECRET",
    ),
    ("state's backend", {"backend": "file:///s"}, "warning", "on this machine", "pulumi login azblob://staging"),
    ("state's backend", {"backend": "https://api.pulumi.com"}, "failed", "no lease", "pulumi login azblob://staging"),
    ("state's backend", {"backend": Missing("no login")}, "failed", "no login", "pulumi login azblob://staging"),
    ("state", {"state": Missing("no stack named")}, "failed", "no stack named", "pulumi stack init staging "),
    ("lock", {"lock": "created by a@b (pid 1)"}, "failed", "a@b (pid 1)", "mlflow-platform recover staging"),
    (
        "interrupted operations",
        {"state": state(pending_operations=[{"type": "creating", "resource": RESOURCE}])},
        "failed",
        "creating store interrupted",
        "mlflow-platform recover staging",
    ),
    (
        "deletions left over",
        {"state": state(resources=[{**RESOURCE, "delete": True}])},
        "warning",
        "store left to delete",
        "mlflow-platform preview staging",
    ),
    (
        "engine of the state",
        {"state": state(manifest={"version": "v3.300.0"})},
        "failed",
        "written by engine 3.300.0",
        "git pull --ff-only && make engine",
    ),
    (
        "azure-native",
        {"state": state(resources=[{**PROVIDER, "inputs": {"version": "3.30.0"}}])},
        "failed",
        "the state is of 3.30.0, the lock file of 3.29.0",
        "git pull --ff-only && make venv",
    ),
    ("image", configured(image={"digest": "none"}), "warning", "digest: none", "pulumi config set --path image.digest"),
    (
        "network ranges",
        {"ranges": {"dev": "10.40.0.0/16"}},
        "warning",
        "10.40.1.0/24 overlaps 10.40.0.0/16 of dev",
        "pulumi config set --path network.cidr 10.1.0.0/24 -s staging",
    ),
    (
        "secrets provider",
        {"changed": ["stacks/Pulumi.staging.yaml"]},
        "failed",
        "is not committed",
        "git add stacks/Pulumi.staging.yaml && git commit",
    ),
    (
        "secrets provider",
        {"changed": ["stacks/Pulumi.staging.yaml"], "file": {"config": CONFIG}},
        "warning",
        "names no key of a Key Vault",
        "pulumi stack change-secrets-provider",
    ),
    (
        "state's backend",
        {"backend": Missing("no login"), "file": {"config": {"mlflow-platform:bootstrappedBy": "bootstrap"}}},
        "failed",
        "no login",
        "pulumi login azblob://pulumi-staging",
    ),
    ("secrets provider", {"file": {}}, "warning", "names no key", "pulumi stack change-secrets-provider azurekeyvault"),
    (
        "names of examples",
        configured(github={"repository": "Example/mlflow"}),
        "failed",
        "github.repository: Example/mlflow; write your own",
        "pulumi config set --path 'github.repository' YOURS -s staging",
    ),
    (
        "names of examples",
        configured(monitoring={"emails": ["a@team.test", "b@mail.example.com"]}),
        "failed",
        "monitoring.emails[1]: b@mail.example.com; write your own",
        "pulumi config set --path 'monitoring.emails[1]' YOURS -s staging",
    ),
    (
        "subscription in the file",
        {"file": {}},
        "warning",
        "names none",
        "pulumi config set azure-native:subscriptionId",
    ),
    ("workflow's sign-in", {"environ": {"GITHUB_ACTIONS": "true"}}, "failed", "`id-token: write`", "git grep"),
    ("workflow's sign-in", {"environ": WORKFLOW}, "failed", "ARM_USE_OIDC, ARM_CLIENT_ID", "gh variable list"),
    ("sign-in", {"azure": Missing("not signed in")}, "not checked", "not signed in", "az login"),
    ("rights", {"azure": Missing("not signed in")}, "not checked", "not signed in", ""),
]


def of_azure(**facts: Any) -> dict[str, Any]:
    return {"azure": replace(AZURE, **facts)}


UNWELL += [
    ("subscription", of_azure(home="other"), "failed", "is of tenant other, signed in to t", "az login --tenant other"),
    ("subscription", of_azure(enabled="Disabled"), "failed", "0 is Disabled", "az account list"),
    ("subscription", of_azure(home=Missing("403 no")), "not checked", "403 no", ""),
    (
        "resource providers",
        of_azure(providers={"Microsoft.App": "NotRegistered"}),
        "failed",
        "Microsoft.App not registered",
        "az provider register --namespace Microsoft.App --wait",
    ),
    (
        "resource providers",
        of_azure(features={"Microsoft.Compute/EncryptionAtHost": "NotRegistered"}),
        "failed",
        "Microsoft.Compute/EncryptionAtHost not registered",
        "az feature register --namespace Microsoft.Compute --name EncryptionAtHost",
    ),
    ("quota", of_azure(environments=(15, 15)), "failed", "15 of 15 in westeurope", "az containerapp list-usages"),
    ("database offer", of_azure(sizes=[]), "failed", "does not offer Standard_D2ds_v5", "az postgres flexible-server"),
    (
        "database offer",
        {**configured(database={"highAvailability": "zone-redundant"}), **of_azure(zones=False)},
        "failed",
        "no standby in another zone",
        "az postgres flexible-server list-skus",
    ),
    (
        "database cores",
        of_azure(cores={"cores": (99, 100)}),
        "failed",
        "cores: 99 of 100 are taken in westeurope, and 2 more",
        "az postgres flexible-server list-skus",
    ),
    (
        "database cores",
        {
            **configured(database={"highAvailability": "zone-redundant"}),
            **of_azure(cores={"cores": (0, 100), "standardddsv5family": (8, 10)}),
        },
        "failed",
        "standardDDSv5Family: 8 of 10 are taken in westeurope, and 4 more",
        "az postgres flexible-server list-skus",
    ),
    ("database cores", of_azure(cores=Missing("403 no")), "not checked", "403 no", ""),
    (
        "image in the registry",
        {"registry": Registry(place="acr1.azurecr.io/mlflow-platform", has_image=False)},
        "failed",
        "acr1.azurecr.io/mlflow-platform does not have it",
        "mlflow-platform image push .local/image --to acr1.azurecr.io/mlflow-platform",
    ),
    ("image in the registry", {"registry": Missing("no skopeo")}, "not checked", "no skopeo", ""),
    ("global names", of_azure(deleted="kv-1"), "failed", "kv-1 is a deleted vault", "az keyvault recover --name kv-1"),
    (
        "global names",
        of_azure(taken={"st1": "AlreadyExists"}),
        "failed",
        "st1 (AlreadyExists)",
        "pulumi config set nameGeneration two -s staging",
    ),
    (
        "rights",
        of_azure(actions=[(["*"], ["Microsoft.Authorization/*/Write"])]),
        "failed",
        "Microsoft.Authorization/roleAssignments/write, Microsoft.Authorization/locks/write not allowed",
        "az role assignment list",
    ),
]


def of_state(**facts: Any) -> dict[str, Any]:
    return {"state_account": replace(STATE, **facts)}


def somebody(role: str, principal: str) -> list[Assignment]:
    return [*STATE.assignments, Assignment(id=f"{_OF_STATE}/a3", role=role, principal=principal, kind="User")]


UNWELL += [
    (
        "keys of the state's account",
        of_state(shared_keys=True),
        "failed",
        "open every state",
        f"az storage account update --ids {_OF_STATE} --allow-shared-key-access false",
    ),
    ("keys of the state's account", {"state_account": Missing("403 no")}, "not checked", "403 no", ""),
    *(
        (
            "who writes the state",
            of_state(assignments=somebody(role, principal)),
            "failed",
            f"User {principal} as {role}; expected the administrators and the deploy identity alone",
            f"az role assignment delete --ids {_OF_STATE}/a3",
        )
        # Of another stack; somebody else; and whoever may give himself more, even of the administrators.
        for role, principal in ((_WRITES, "deploys-prod"), (_WRITES, "jane"), ("Owner", "team"))
    ),
    ("who writes the state", {"state_account": Missing("403 no")}, "not checked", "403 no", ""),
]


def test_the_simple_way_shows_who_writes_the_state() -> None:
    simple = replace(WELL, administrators=Missing("no bootstrap stack has made the state"))
    assert found(simple, "who writes the state") == Finding(
        result=Result.OK,
        what=f"{_WRITES} TEAM, {_WRITES} deploys, on the container or above it: no bootstrap stack has made the state",
    )


def of_github(**facts: Any) -> dict[str, Any]:
    return {"github": replace(GITHUB, **facts)}


_DEPLOYED = Environment(reviewers=1, branches=["main"], variables=[])
_ENVIRONMENT = "gh api repos/example/mlflow-platform/environments/staging"

UNWELL += [
    (
        "GitHub environments",
        of_github(environments={}),
        "failed",
        "staging, staging-preview not in example/mlflow-platform",
        "gh api --method PUT repos/example/mlflow-platform/environments/staging-preview",
    ),
    ("GitHub environments", {"github": Missing("no token of GitHub")}, "not checked", "no token of GitHub", ""),
    ("GitHub reviewers", of_github(environments={}), "failed", "no environment staging", _ENVIRONMENT),
    *(
        (
            "GitHub reviewers",
            of_github(environments={"staging": replace(_DEPLOYED, **more)}),
            result,
            what,
            _ENVIRONMENT,
        )
        for more, result, what in (
            ({"reviewers": 0}, "warning", "nobody has to approve"),
            ({"branches": None}, "failed", "every branch may deploy; expected main alone"),
            ({"branches": ["x", "main"]}, "failed", "x, main may deploy"),
        )
    ),
    (
        "GitHub variables",
        of_github(variables=["AZURE_TENANT_ID"]),
        "failed",
        "staging lacks ARM_SUBSCRIPTION_ID, STATE_ACCOUNT, PULUMI_BACKEND_URL; staging-preview lacks",
        "gh variable set ARM_SUBSCRIPTION_ID --env staging --repo example/mlflow-platform",
    ),
    ("GitHub variables", of_github(variables=Missing("403")), "not checked", "403", ""),
    (
        "main branch",
        of_github(reviewed=False),
        "failed",
        "main takes changes without a pull request",
        "gh api repos/example/mlflow-platform/rules/branches/main",
    ),
    (
        "workflow token",
        of_github(token_writes=True),
        "warning",
        "names no rights may write",
        "gh api --method PUT repos/example/mlflow-platform/actions/permissions/workflow",
    ),
    (
        "pull requests of workflows",
        of_github(token_proposes=False),
        "warning",
        "What allows it also lets workflows approve. Have main ask for a review of code owners",
        "gh api --method PUT repos/example/mlflow-platform/actions/permissions/workflow -F can_approve",
    ),
    (
        "pull requests of workflows",
        of_github(owned=False),
        "warning",
        "and approve them too, which counts as the review of a person",
        "gh api repos/example/mlflow-platform/codeowners/errors",
    ),
    ("pull requests of workflows", of_github(owned=Missing("403")), "not checked", "403", ""),
]


@pytest.mark.parametrize(("name", "facts", "result", "what", "remedy"), UNWELL)
def test_each_fault_is_found_with_a_command(
    name: str, facts: dict[str, Any], result: str, what: str, remedy: str
) -> None:
    finding = found(replace(WELL, **facts), name)
    assert (finding.result.value, what in finding.what) == (result, True), finding
    assert any(one.startswith(remedy) for one in finding.remedies) if remedy else not finding.remedies, finding
    assert [why for one in finding.remedies if (why := problem(one))] == [], "the command exists"


def test_every_check_says_no_to_something() -> None:
    assert {name for name, *_ in UNWELL} >= {check.name for check in CHECKS} - {"settings", "way"}
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_each_problem_of_the_settings_has_its_command() -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(
            {"config": {**CONFIG, "mlflow-platform:protect": "maybe", "mlflow-platform:ingress": "all"}}, "staging"
        )
    finding = found(replace(WELL, settings=Missing("no"), problems=refused.value.problems), "settings")
    assert finding.result is Result.FAILED
    assert len(finding.remedies) == len(refused.value.problems) == 2
    assert [why for one in finding.remedies if (why := problem(one))] == []
    assert found(replace(WELL, settings=Missing("no")), "network ranges").result is Result.NOT_CHECKED


def test_the_way_that_a_stack_is_on() -> None:
    assert found(WELL, "way").what.startswith("simple: an Owner runs its first up; images are pushed")
    config = {**CONFIG, "mlflow-platform:bootstrappedBy": "bootstrap"}
    config["mlflow-platform:image"] = {"source": "ghcr.io/example/image"}
    finding = found(replace(WELL, file={"config": config}), "way")
    assert (
        finding.what == "bootstrap: bootstrap has made its group and identities; images come from ghcr.io/example/image"
    )


def test_a_command_has_its_own_checks() -> None:
    names = {command: {check.name for check, _ in made(WELL, command)} for command in Command}
    assert "rights" in names[Command.UP] - names[Command.PREVIEW]
    assert "checkout" in names[Command.PROMOTE] - names[Command.PREVIEW]
    assert "lock" in names[Command.RECOVER]
    assert set.union(*names.values()) == {check.name for check in CHECKS}


def test_the_document_and_the_screen_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    facts = replace(WELL, engine="3.199.0", backend="file:///state\x1b[31m")
    written = report.document("staging", "up", made(facts, Command.UP))
    assert (written["passed"], written["command"]) == (False, "up")
    assert written["checks"][0] == {
        "name": "engine",
        "result": "failed",
        "what": "version 3.199.0; 3.200.0 or a later one is needed",
        "why": "plans of other versions differ",
        "remedies": ["make engine"],
    }
    report.show("staging", made(facts, Command.UP))
    screen = capsys.readouterr().out
    assert "run: make engine" in screen
    assert "\x1b" not in screen
    assert screen.splitlines()[-1].startswith("staging: ")


@pytest.mark.parametrize("broken", ["config: foo\n", "- 1\n", "config:\n\ta: 1\n", "config: {a: \xff}\n"])
def test_a_broken_file_of_another_stack_hides_no_range(broken: str, tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.broken.yaml").write_bytes(broken.encode("latin-1"))
    shutil.copy(REPOSITORY / "stacks" / "Pulumi.dev.yaml", tmp_path / "stacks")
    assert [*_ranges(tmp_path)] == ["dev"]
