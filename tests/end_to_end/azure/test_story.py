"""A team's first days: the product's own commands in a git repository of its own, with the real engine.

In place of Azure is the offline one, which runs no service: a stock MLflow server is what the smoke program reaches.
Azurite stands for the account with the bootstrap stack's state, and a passphrase for the key in its vault; the other
stacks' states are in a folder, with the offline Azure's key. GitHub is a stand-in that holds the comments. dev runs the
whole program. staging and prod run a small part of it, which takes less time and shows the same.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from delivery.offline_azure import rest, stacks_key
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import REPOSITORY, WRITTEN_ONCE, engine_environment, must
from delivery.offline_azure.values import merged
from delivery.promote.lines import changed
from delivery.promote.release import Release
from delivery.pulumi.engine import Engine
from delivery.pulumi.project import own_values, project_name
from infra.naming import Names, unique_suffix
from tests.delivery.promote.promoting import a_release, committed, git, labels
from tests.delivery.pull_request import github_stand_in as hub
from tests.delivery.smoke.server import stock_server
from tests.end_to_end.azure.living import failed, opened
from tests.support import blob_backend, warm
from tests.support.arm import needs_schemas
from tests.support.engine import kill

pytestmark = [needs_schemas, pytest.mark.timeout(1800)]

SECONDS: Final = 600
PARTS: Final = ("__main__.py", "Pulumi.yaml", ".gitignore", "components", "delivery", "infra", "stacks", "tools")
ADMINISTRATORS: Final = "11111111-2222-4333-8444-555555555555"
UNASKED: Final = ("--accepts", "alerts", "--accepts", "registry")
"""Nothing asks the real Azure."""

ACCEPTED: Final = ("--accepts", "smoke", *UNASKED)
"""What nobody can check from here: the gateway has no public name either."""

MAIN: Final = """\
import signal

import pulumi

signal.signal(signal.SIGINT, signal.SIG_DFL)
if pulumi.get_stack() in ("staging", "prod"):
    import a_part
else:
    from infra.program import main

    main()
"""
A_PART: Final = """\
import pulumi
from components.mlflow.roles import Role
from infra.settings.load import load
from pulumi_azure_native import resources, storage

settings = load()
azure, stack = settings.azure, settings.stack
marks = {"release": azure.image.digest[7:19], "concurrency": str(settings.sizes[Role.TRACKING].scale.concurrency)}
group = resources.ResourceGroup(
    "group", resource_group_name=f"rg-{stack}-part", location=azure.location, tags=marks
)
storage.StorageAccount(
    "store-account",
    account_name=f"stmlflow{stack}",
    resource_group_name=group.name,
    location=azure.location,
    kind="StorageV2",
    sku={"name": "Standard_LRS"},
    public_network_access="Disabled",
    tags=marks,
)
"""
# Takes the place of the engine on PATH: a vault's key is out of reach, so a passphrase stands for it.
WITHOUT_A_VAULT: Final = """\
#!/bin/sh
for word do
    shift
    case "$word" in azurekeyvault://*) word=passphrase ;; esac
    set -- "$@" "$word"
done
PATH="$ENGINES_PATH" exec pulumi "$@"
"""


@dataclass(frozen=True)
class Said:
    """What a command wrote."""

    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.out)
        return read

    def has(self, *texts: str) -> None:
        """See that it says each of the texts, whatever the lines' ends."""
        line = " ".join(self.text.split())
        assert [text for text in texts if text not in line] == [], self.text


@dataclass(frozen=True)
class Team:
    """A checkout with a remote, a subscription, the comments on GitHub, and the command line in the checkout."""

    checkout: Path
    azure: Azure
    environment: Mapping[str, str]
    stored: hub.Stored

    def run(self, *words: str, code: int = 0, variables: Mapping[str, str] | None = None) -> Said:
        """`mlflow-platform WORDS...`, which has to end with a code."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.checkout,
            env={**self.environment, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        said = Said(done.stdout, done.stderr)
        assert done.returncode == code, said.text
        return said

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "delivery", *words]

    @property
    def pulumi(self) -> Engine:
        return Engine(folder=self.checkout, environment=self.environment)

    def paste(self, command: str) -> Said:
        """Run a command that a message names, as it stands there."""
        program, *words = shlex.split(command)
        if program == "mlflow-platform":
            return self.run(*words)
        assert program == "pulumi", command
        return Said(must(self.pulumi.run(*words)).out, "")

    def configure(self, stack: str, **values: Any) -> None:
        """Change a stack's file, where objects are merged."""
        file = self.checkout / "stacks" / f"Pulumi.{stack}.yaml"
        document = yaml.safe_load(file.read_text())
        named = {f"{project_name(self.checkout)}:{key}": value for key, value in values.items()}
        file.write_text(yaml.safe_dump({**document, "config": merged(document["config"], named)}, sort_keys=False))

    def values(self, stack: str) -> dict[str, Any]:
        """The program's values in a stack's file."""
        document = yaml.safe_load((self.checkout / "stacks" / f"Pulumi.{stack}.yaml").read_text())
        return own_values(document, project_name(self.checkout))

    def commit(self, subject: str) -> None:
        """Commit what is changed, and push it to main."""
        committed(self.checkout, subject)

    def propose(self, subject: str) -> None:
        """Commit what is changed, for a pull request."""
        git(self.checkout, "commit", "--quiet", "--all", f"--message={subject}")

    def merge(self, branch: str = "") -> None:
        """Merge a pull request, of a branch of the remote or of what was committed here."""
        if branch:
            git(self.checkout, "fetch", "--quiet", "origin", branch)
            git(self.checkout, "merge", "--quiet", "--ff-only", "FETCH_HEAD")
        git(self.checkout, "push", "--quiet", "origin", "HEAD:main")

    def close_pull_request(self) -> None:
        """Close a pull request without merging it."""
        git(self.checkout, "reset", "--quiet", "--hard", "origin/main")

    def plan(self, stack: str, *, code: int = 0, drift: bool = False) -> str:
        """`preview STACK`, as a workflow runs it; return the plan's fingerprint. `up` looks for drift by itself."""
        outputs = self.checkout.parent / "outputs"
        outputs.unlink(missing_ok=True)
        files = ["--save", str(self._plans / f"{stack}.json"), "--outputs", str(outputs)]
        self.run("preview", stack, *files, *([] if drift else ["--no-drift"]), code=code)
        return outputs.read_text().split("\n")[0].removeprefix("plan=")

    def review(self, pull_request: int, stack: str, *, code: int = 0, drift: bool = True) -> tuple[str, str]:
        """The two jobs of a pull request: plans, and the one comment. Return the plan and the comment."""
        shutil.rmtree(self._plans, ignore_errors=True)
        plan = self.plan(stack, code=code, drift=drift)
        self.run("report", str(self._plans), "--pull-request", str(pull_request), code=code)
        (comment,) = self.stored.comments[pull_request]
        return plan, comment["body"]

    def deploy(self, stack: str) -> None:
        """Plan, approve, apply: after a merge."""
        self.run("up", stack, "--approved", self.plan(stack)).has(f"{stack}: applied: smoke not run")

    def built(self, digit: str) -> tuple[Release, list[str]]:
        """A release of what is checked out, and the options that name the documents of two builds of it."""
        release = a_release(self.checkout, digit)
        files = [self.checkout.parent / f"{digit}-{machine}.json" for machine in ("here", "there")]
        for file in files:
            file.write_text(json.dumps({"digest": release.digest, "labels": labels(release), "build": file.stem}))
        return release, [part for file in files for part in ("--image", str(file))]

    def name(self, release: Release, stack: str) -> None:
        """Write a release into a stack's file."""
        file = self.checkout / "stacks" / f"Pulumi.{stack}.yaml"
        file.write_bytes(changed(file.read_bytes(), release.values(project_name(self.checkout))))

    def promoted(self, *words: str, accepted: Sequence[str] = ACCEPTED) -> str:
        """`promote WORDS...`; return the branch that it pushed."""
        return str(self.run("promote", *words, *accepted, "--json").document["branch"])

    def store(self, stack: str) -> str:
        """The id of a stack's account."""
        (found,) = [key for key in self.azure.resources if re.search(rf"/storageaccounts/stmlflow{stack}[^/]*$", key)]
        return found

    def tags(self, stack: str) -> Any:
        """What the store of a stack is marked with."""
        return self.azure.resources[self.store(stack)]["inputs"]["tags"]

    @property
    def _plans(self) -> Path:
        return self.checkout.parent / "plans"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, checkout / part)
    (checkout / "__main__.py").write_text(MAIN)
    (checkout / "a_part.py").write_text(A_PART)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "config", "user.name", "Ada")
    git(checkout, "config", "user.email", "ada@example.com")
    git(checkout, "remote", "add", "origin", str(tmp_path / "remote.git"))
    committed(checkout, "The platform")
    with ExitStack() as opening:
        cloud = opening.enter_context(opened(tmp_path))
        client, stored = opening.enter_context(hub.github())
        environment = {
            **engine_environment(tmp_path, cloud.port),
            **WRITTEN_ONCE,
            **rest.identity_environment(cloud.management.url),
            **stacks_key.environment(cloud.management.url),
            "ARM_ENDPOINT": cloud.management.url,
            "XDG_STATE_HOME": str(tmp_path / "kept"),
            "GITHUB_REPOSITORY": client.repository,
            "GITHUB_TOKEN": client.token,
            "GITHUB_API_URL": client.api,
        }
        yield Team(checkout, cloud.azure, environment, stored)


def test_a_teams_first_days(team: Team, tmp_path: Path) -> None:
    azure = team.azure

    # 1. Bootstrap: one command on an empty subscription, after the one value that only the team knows.
    team.run("bootstrap", "--yes", code=2).has("got the example's zeros", "Run: pulumi config set --path")
    team.configure("bootstrap", bootstrap={"administrators": ADMINISTRATORS})
    team.commit("Say who administers")
    source = bootstrapped(team, tmp_path)
    team.commit("Keep the key of the bootstrap stack's state")
    made_by_an_owner = dict(azure.resources)

    # 2. The first deployment: an image into dev's file, a report of all that is new, and one `up`.
    for stack in ("dev", "staging", "prod"):
        team.configure(stack, bootstrappedBy="bootstrap", soakHours=0, image={"source": source})
        must(team.pulumi.run("stack", "init", stack, "--no-select", "--secrets-provider", stacks_key.PROVIDER))
    # The bootstrap stack makes the identities of workflows.
    team.paste("pulumi config rm --path github -s prod")
    team.commit("Make the stacks")
    first, builds = team.built("1")
    azure.publish(f"{source}/mlflow-platform@{first.digest}")
    team.name(first, "dev")
    team.propose("The first release")
    plan, comment = team.review(1, "dev")
    assert "first deployment" in comment
    assert "| image imported first |" in comment
    assert f"`{plan}`" in comment
    team.merge()
    before = len(azure.calls())
    with stock_server(tmp_path) as gateway:
        # The one `up` of a whole run of tests whose program surely starts as a team's own does.
        done = team.run("up", "dev", "--approved", plan, "--smoke-url", gateway.url, variables=warm.COLD)
    done.has("dev: applied: smoke passed", f"Plan {plan}")
    made = [(call["operation"], call["type"].removeprefix("azure-native:")) for call in azure.calls()[before:]]
    ran = [made.index(each) for each in (("create", "app:Job"), ("create", "app:ContainerApp"))]
    assert made.index(("import", "containerregistry:Registry")) < min(ran)
    # Without a right on the subscription: neither a group nor an identity was created.
    new = [one["id"].lower() for key, one in azure.resources.items() if key not in made_by_an_owner]
    assert [one for one in new if "/resourcegroups/rg-mlflow-dev/" not in one] == []
    team.merge(team.promoted("dev", "staging", *builds, accepted=UNASKED))
    team.deploy("staging")

    # 3. A change, its report, and its approval. Its image is nowhere yet: `up` fails before any service is touched.
    second, builds = team.built("2")
    team.name(second, "dev")
    team.configure("dev", tracking={"concurrency": 7})
    team.propose("The next release, with seven requests at a time")
    plan, comment = team.review(2, "dev", drift=False)
    assert "### Deployment preview: `dev` routine" in comment
    assert "`template.scale.rules[requests-in-flight].http.metadata.concurrentRequests`: `6` → `7`" in comment
    assert f"`{plan}`" in comment
    team.merge()
    without_an_image(team, plan, f"{source}/mlflow-platform@{second.digest}")

    # 4. From dev to staging and on to prod, with the setting that was tried.
    team.merge(team.promoted("dev", "staging", "--with", "tracking.concurrency", *builds))
    team.deploy("staging")
    assert team.tags("staging") == {"release": second.short, "concurrency": "7"}
    team.merge(team.promoted("staging", "prod", "--with", "tracking.concurrency", *builds))
    assert team.values("prod")["image"]["digest"] == second.digest
    assert team.values("prod")["tracking"]["concurrency"] == 7
    team.deploy("prod")
    assert team.tags("prod") == {"release": second.short, "concurrency": "7"}

    # 5. A bad change at each gate.
    refused_by_the_settings(team)
    refused_by_azure(team)
    approved = stopped_by_drift(team)
    stopped_by_an_unapproved_plan(team, approved)
    stopped_on_the_way(team, builds)

    # 6. Back to the release before; the `up` is killed, brought back, and finished.
    branch = team.promoted("staging", "--rollback")
    assert branch == f"rollback/staging/{first.short}"
    team.merge(branch)
    killed_and_brought_back(team, first)
    team.run("preview", "staging", "--no-drift").has("staging: no change")


def bootstrapped(team: Team, folder: Path) -> str:
    """The bootstrap stack from nothing to its own account; return the registry that images are built into."""
    names = Names(stack="bootstrap", suffix=unique_suffix(SUBSCRIPTION, "bootstrap"))
    engines = folder / "engines"
    engines.mkdir()
    (engines / "pulumi").write_text(WITHOUT_A_VAULT)
    (engines / "pulumi").chmod(0o755)
    path = team.environment["PATH"]
    with blob_backend.served(folder / "blobs", names.storage_account, names.state) as account:
        there = {**account.environment, "ENGINES_PATH": path, "PATH": f"{engines}{os.pathsep}{path}"}
        done = team.run("bootstrap", "--yes", "--json", variables=there).document
        assert done["backend"] == account.url
        assert {"state_account", "key_vault", "dev_deploy_client_id", "build_client_id"} <= done["outputs"].keys()
        assert not (team.checkout / ".bootstrap" / "state").exists()

        # As it is in its account: nothing to do, which the command itself has seen, nothing that differs on Azure, and
        # nothing to be destroyed.
        assert {"name": "preview without a change", "needed": True} in done["steps"]
        own = {**team.environment, **there, "PULUMI_BACKEND_URL": account.url}
        engine = Engine(folder=team.checkout, environment=own, options=("--stack", "bootstrap"))
        must(engine.run("refresh", "--preview-only", "--expect-no-changes"))
        resources = dict(team.azure.resources)
        assert "cannot be deleted" in failed(engine.run("destroy", "--yes"))
        assert team.azure.resources == resources
    return str(done["outputs"]["build_registry_id"])


def without_an_image(team: Team, plan: str, image: str) -> None:
    """The import fails, and says what to do. What somebody imports by hand then is what the same plan runs."""
    azure = team.azure
    apps = deepcopy({key: one for key, one in azure.resources.items() if "/containerapps/" in key})
    said = team.run("up", "dev", "--approved", plan, code=1)
    said.has(f"Image import: {image} is not in", "correct `image.digest`", "Run: mlflow-platform preview dev")
    assert "Traceback" not in said.text
    assert {key: one for key, one in azure.resources.items() if "/containerapps/" in key} == apps
    (registry,) = [one for key, one in azure.resources.items() if re.search(r"/registries/crmlflowdev[^/]*$", key)]
    digest = image.rpartition("@")[2]
    registry["images"]["mlflow-platform"][digest.replace(":", "-")] = digest
    azure.save()
    team.run("up", "dev", "--approved", plan).has("dev: applied")


def refused_by_the_settings(team: Team) -> None:
    """The program refuses the settings; the command of the message fixes them."""
    team.configure("staging", tracking={"concurrency": 100_000})
    team.propose("Let tracking work on everything at a time")
    _, comment = team.review(3, "staging", code=1)
    assert "`staging` refused" in comment
    (remedy,) = set(re.findall(r"pulumi config \w+ [^`\n]*? -s staging", comment))
    team.paste(remedy)
    team.propose("Do as the message says")
    team.run("preview", "staging", "--no-drift")
    team.close_pull_request()


def refused_by_azure(team: Team) -> None:
    """The engine would try it and Azure refuse it: the report says so before anybody tries."""
    team.configure("dev", database={"geoBackup": True})
    team.propose("Copy the backups to another region")
    _, comment = team.review(4, "dev", code=1, drift=False)
    assert "`dev` refused" in comment
    assert "> 1. **Azure will refuse** the change of `postgres-server`: " in comment
    team.close_pull_request()


def stopped_by_drift(team: Team) -> str:
    """The report names it as not from the change, no plan is applied over it, and `drift` names the way back.

    Return the plan, of eight requests at a time.
    """
    account = team.store("staging")
    team.azure.change(account, publicNetworkAccess="Enabled")
    team.configure("staging", tracking={"concurrency": 8})
    team.propose("Eight at a time")
    plan, comment = team.review(5, "staging")
    assert "**Not from this change: 1 resource differs on Azure.** Updates wait" in comment
    assert "- `store-account` `publicNetworkAccess`: `Disabled` → `Enabled`" in comment
    stopped = team.run("up", "staging", "--approved", plan, code=1)
    stopped.has("got drift that has to be decided on first; nothing was changed", "Run: mlflow-platform drift staging")
    team.close_pull_request()
    (found,) = json.loads(team.run("drift", "staging", "--json", code=1).out)
    (line,) = found["lines"]
    team.paste(f"{line['revert']} --yes")
    assert team.azure.resources[account]["inputs"]["publicNetworkAccess"] == "Disabled"
    return plan


def stopped_by_an_unapproved_plan(team: Team, approved: str) -> None:
    """What is not committed, and what came after the approval, is not applied."""
    team.configure("staging", tracking={"concurrency": 9})
    team.run("up", "staging", "--approved", approved, code=1).has("checkout: got 1 file", "expected a clean checkout")
    team.propose("Nine at a time")
    before = team.tags("staging")
    stopped = team.run("up", "staging", "--approved", approved, "--json", code=1).document
    assert stopped["reason"] == "the plan changed after its approval"
    assert "Run: mlflow-platform preview staging" in stopped["next"]
    assert team.tags("staging") == before
    team.close_pull_request()


def stopped_on_the_way(team: Team, builds: list[str]) -> None:
    """A release that nobody built, in a hurry: each gate that it does not pass says what to do."""
    by_hand = {"digest": f"sha256:{'9' * 64}", "commit": "9" * 40, "mlflow": "3.16.1"}
    team.configure("staging", soakHours=24, image=by_hand)
    team.configure("prod", tracking={"concurrency": 100_000})
    team.commit("Edit the release by hand")
    wrong = team.run("promote", "staging", "prod", *builds, "--dry-run", "--json", code=1).document
    stops = {one["id"]: one["do"] for one in wrong["gates"] if one["state"] in ("stopped", "not checked")}
    assert stops.keys() >= {"applied", "soak", "label", "ancestry", "provenance", "guardrails", "preview"}
    assert [gate for gate, do in stops.items() if not do] == []
    git(team.checkout, "revert", "--no-edit", "HEAD")
    team.merge()


def killed_and_brought_back(team: Team, release: Release) -> None:
    """`kill -9` while Azure changes the account: the same command says `recover`, and then the rest is a new plan."""
    plan = team.plan("staging")
    team.azure.inject("slow", operation="update", matching="/storageAccounts/", seconds=SECONDS)
    command = team.command("up", "staging", "--approved", plan)
    killed = {name: value for name, value in team.environment.items() if name not in WRITTEN_ONCE}
    kill(command, team.checkout, killed, lambda: team.tags("staging")["release"] == release.short)
    team.azure.clear_faults()
    stopped = team.run("up", "staging", "--approved", plan, code=1)
    stopped.has("Run: mlflow-platform recover staging")
    back = team.run("recover", "staging", "--yes", "--json").document
    assert back["complete"]
    assert [one["name"] for one in back["operations"]] == ["store-account"]
    again = team.plan("staging")
    team.run("up", "staging", "--approved", again).has("staging: applied")
    assert team.tags("staging")["release"] == release.short
