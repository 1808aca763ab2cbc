"""The table of checks: what each looks at, why, for which commands, and what fixes what it finds.

Each is a pure function of the facts. A check whose facts are missing is not made, and says why. Each subject's checks
are in a module of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from delivery.doctor.checks import directory, machine, repository, stack_file, state, subscription
from delivery.doctor.checks.check import Check, Command, Finding, Result
from delivery.doctor.facts import Facts

__all__ = ["CHECKS", "Check", "Command", "Finding", "Result", "made"]

_EVERY: Final = frozenset(Command)
_CHANGING: Final = frozenset({Command.UP})
_PLANNING: Final = frozenset({Command.UP, Command.PREVIEW})
_REVIEWED: Final = frozenset({Command.UP, Command.PROMOTE})

CHECKS: Final[Sequence[Check]] = (
    Check(name="engine", why="plans of other versions differ", look=machine.engine, commands=_EVERY),
    Check(name="language host", why="the engine runs Python by it", look=machine.language_host, commands=_PLANNING),
    Check(name="packages", why="the program is tested with the locked ones", look=machine.packages, commands=_PLANNING),
    Check(name="checkout", why="a commit is what is reviewed", look=machine.checkout, commands=_REVIEWED),
    Check(
        name="secrets in the environment",
        why="they take the place of a sign-in",
        look=machine.no_secrets,
        commands=_EVERY,
    ),
    Check(name="state's backend", why="one state for everybody, with a lease", look=state.backend, commands=_EVERY),
    Check(name="state", why="it says what the stack has", look=state.state_is_there, commands=_EVERY),
    Check(
        name="keys of the state's account",
        why="a key writes every state, for whoever has it",
        look=state.keys_of_the_account,
        commands=_CHANGING,
    ),
    Check(
        name="who writes the state",
        why="the state decides what an up deletes",
        look=state.writers,
        commands=_CHANGING,
    ),
    Check(name="lock", why="one update at a time", look=state.lock, commands=_CHANGING | {Command.RECOVER}),
    Check(
        name="interrupted operations",
        why="Azure may have what the state has not",
        look=state.operations,
        commands=_REVIEWED | {Command.RECOVER},
    ),
    Check(name="deletions left over", why="the next update tries them", look=state.deletions, commands=_EVERY),
    Check(name="engine of the state", why="an older engine may misread it", look=state.writer, commands=_EVERY),
    Check(
        name="azure-native",
        why="an older provider would undo what it does not know",
        look=state.azure_native,
        commands=_PLANNING,
    ),
    Check(
        name="settings",
        why="the program refuses them otherwise",
        look=stack_file.settings,
        commands=_PLANNING | _REVIEWED,
    ),
    Check(name="image", why="the services run from it", look=stack_file.image, commands=_REVIEWED),
    Check(
        name="image in the registry",
        why="an up imports it, or its services pull it",
        look=stack_file.image_in_registry,
        commands=_REVIEWED,
    ),
    Check(name="network ranges", why="a range cannot be changed later", look=stack_file.ranges, commands=_PLANNING),
    Check(
        name="secrets provider",
        why="without its key nobody reads the state's secrets",
        look=stack_file.secrets_provider,
        commands=_CHANGING,
    ),
    Check(
        name="subscription in the file",
        why="names are made from it",
        look=stack_file.configured_subscription,
        commands=_PLANNING,
    ),
    Check(
        name="names of examples", why="whoever has such a name is trusted", look=stack_file.examples, commands=_EVERY
    ),
    Check(name="way", why="who makes identities and where images come from", look=stack_file.way, commands=_CHANGING),
    Check(name="workflow's sign-in", why="it signs in without a secret", look=machine.workflow, commands=_EVERY),
    Check(name="sign-in", why="the checks below ask Azure", look=subscription.signed_in, commands=_EVERY),
    Check(name="subscription", why="the state's resources are there", look=subscription.subscription, commands=_EVERY),
    Check(
        name="resource providers",
        why="Azure makes nothing of one that is not registered",
        look=subscription.providers,
        commands=_CHANGING,
    ),
    Check(name="quota", why="a region takes so many environments", look=subscription.environments, commands=_CHANGING),
    Check(
        name="database offer",
        why="not each region offers each size to everybody",
        look=subscription.database,
        commands=_CHANGING,
    ),
    Check(name="database cores", why="a subscription has so many", look=subscription.cores, commands=_CHANGING),
    Check(name="global names", why="one for the whole of Azure", look=subscription.names, commands=_CHANGING),
    Check(name="rights", why="an up without them stops in the middle", look=subscription.rights, commands=_CHANGING),
    Check(
        name="app registration",
        why="people and pipelines sign in to it",
        look=directory.registration,
        commands=_CHANGING,
    ),
    Check(
        name="GitHub environments", why="workflows sign in by them", look=repository.environments, commands=_REVIEWED
    ),
    Check(
        name="GitHub reviewers",
        why="a plan is applied when they approve it",
        look=repository.reviewers,
        commands=_REVIEWED,
    ),
    Check(name="GitHub variables", why="workflows read them", look=repository.variables, commands=_REVIEWED),
    Check(name="main branch", why="what it has is deployed", look=repository.branch, commands=_REVIEWED),
    Check(name="workflow token", why="the less it may, the better", look=repository.token, commands=_REVIEWED),
    Check(
        name="pull requests of workflows",
        why="promotions on a schedule are some",
        look=repository.proposals,
        commands=frozenset({Command.PROMOTE}),
    ),
)


def made(facts: Facts, command: Command | None = None) -> list[tuple[Check, Finding]]:
    """Return each check that a command needs, or all, with what it found."""
    return [(check, check.made(facts)) for check in CHECKS if command is None or command in check.commands]
