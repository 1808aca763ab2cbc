"""The order of a prepare run, one line a step with its time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from azure.keyvault.secrets import SecretClient
from sqlalchemy import Connection, Engine

from mlflow_runtime.prepare import databases, grants, indexes, lock, principals, restore_points, schema, teams, vault
from mlflow_runtime.prepare.connection import database_url, engine, wait_until_reachable
from mlflow_runtime.prepare.errors import PrepareError, remedy_of_lock
from mlflow_runtime.prepare.privileges import ACCESS, Access, Store
from mlflow_runtime.prepare.settings import Settings
from mlflow_runtime.reasons import first_line

_log = logging.getLogger(__name__)


class StepFailed(Exception):  # noqa: N818 - it names what happened
    """A step did not succeed: which one, why, in what state things are, and what to do next."""


def prepare(settings: Settings, vault_client: Callable[[], SecretClient]) -> None:
    """Bring databases, roles, secrets, schemas and grants to what this image needs; raise StepFailed.

    Safe to run again at any time, after a kill at any moment too: every step looks at what is there first, and changes
    it in one transaction or one call.
    """
    _Run(settings).all_steps(vault_client)


class _Run:
    """One pass over the steps; it remembers which databases it migrated, for the message of a later failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = {Store.TRACKING: settings.tracking_database, Store.REGISTRY: settings.registry_database}
        self._migrated: dict[str, str | None] = {}

    def all_steps(self, vault_client: Callable[[], SecretClient]) -> None:
        wait = self._settings.wait_seconds
        admin = engine(self._settings.admin_url, "postgres")
        with self._step("reach the database"):
            wait_until_reachable(admin, within=wait)
        with ExitStack() as stack:
            with self._step("take the lock"):
                connection = stack.enter_context(lock.exclusive(admin, within=wait))
            self._server(connection)
            with self._step("secrets") as done:
                outcomes = vault.ensure(vault_client(), self._settings.certificate, within=wait)
                done(", ".join(f"{name} {outcome}" for name, outcome in outcomes.items()))
            self._schemas()
            self._grants()
            with self._step("indexes") as done:
                done(str(indexes.ensure(self._engine(self._names[Store.TRACKING]))))

    def _server(self, connection: Connection) -> None:
        names = list(self._names.values())
        with self._step("end leftovers of a killed run") as done:
            ended = lock.end_leftovers(connection, names)
            done(f"{ended} sessions" if ended else "none")
        with self._step("roles") as done:
            made = principals.ensure(connection, [self._settings.tracking, self._settings.registry])
            done(f"created {', '.join(made)}" if made else "present")
        with self._step("databases") as done:
            made = databases.create_missing(connection, names)
            done(f"created {', '.join(made)}" if made else "present")

    def _schemas(self) -> None:
        standings = {}
        for store, name in self._names.items():  # all are examined before the first is migrated
            with self._step(f"examine {name}") as done:
                standings[store] = standing = schema.examine(self._engine(name))
                done(f"{standing.state.value}, revision {standing.revision}")
        wanted = self._settings.teams
        with self._step("no team left out"):  # before anything is migrated
            teams.refuse_left_out(map(self._engine, self._names.values()), wanted)
        for store, name in self._names.items():
            self._migrate(name, standings[store])
        if any(standing.state is schema.State.NEWER for standing in standings.values()):
            return  # MLflow opens no newer schema, and the image that migrated it made these rows
        with self._step("default rows"):
            schema.open_tracking_store(database_url(self._settings.admin_url, self._names[Store.TRACKING]))
            schema.open_registry_store(database_url(self._settings.admin_url, self._names[Store.REGISTRY]))
        if wanted:
            with self._step("teams") as done:
                made = teams.ensure(self._engine(self._names[Store.TRACKING]), wanted)
                done(f"created {', '.join(made)}" if made else "present")

    def _migrate(self, name: str, standing: schema.Standing) -> None:
        head = schema.expected_revision()
        if standing.revision and standing.state is schema.State.BEHIND:
            with self._step(f"restore point of {name}") as done:
                recorded = restore_points.record(self._engine(name), from_revision=standing.revision, to_revision=head)
                done(f"{recorded}, before {standing.revision} -> {head}")
        with self._step(f"migrate {name}") as done:
            schema.migrate(self._engine(name), standing)
            match standing.state:
                case schema.State.CURRENT:
                    done(f"already at {head}")
                case schema.State.NEWER:
                    done(f"at the newer {standing.revision}, which is declared to serve {head}")
                case _:
                    self._migrated[name] = standing.revision
                    done(f"{standing.revision or 'empty'} -> {head}{_what_older_replicas_do(standing.revision)}")

    def _grants(self) -> None:
        for store, name in self._names.items():
            with self._step(f"grants in {name}") as done:
                changes = grants.converge(self._engine(name), self._access(store))
                done(f"{len(changes)} changes" if changes else "in order")

    def _engine(self, name: str) -> Engine:
        return engine(self._settings.admin_url, name)

    def _access(self, database: Store) -> dict[str, Access]:
        roles = {Store.TRACKING: self._settings.tracking.name, Store.REGISTRY: self._settings.registry.name}
        return {roles[service]: access for service, access in ACCESS[database].items()}

    @contextmanager
    def _step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Log the step's outcome (which the body may say) and its time, or turn its failure into StepFailed."""
        outcomes: list[str] = []
        start = time.monotonic()
        try:
            yield outcomes.append
        except Exception as error:
            seconds = time.monotonic() - start
            raise StepFailed(f"step {name!r} failed after {seconds:.1f} s: {self._explain(error)}") from error
        _log.info("%s: %s (%.2f s)", name, outcomes[-1] if outcomes else "done", time.monotonic() - start)

    def _explain(self, error: Exception) -> str:
        state = "old replicas keep serving; what the steps before this one did stays and is not repeated"
        for name, revision in self._migrated.items():
            state += f"; already migrated: {name}{_what_older_replicas_do(revision)}"
        remedy = error.remedy if isinstance(error, PrepareError) else remedy_of_lock(error) or "remove the cause"
        return f"{first_line(error)}\n  state: {state}\n  next: {remedy}; then run the job again, it is safe to repeat"


def _what_older_replicas_do(revision: str | None) -> str:
    if revision is None:
        return ""
    if schema.serves(revision):
        return f", which serves replicas that need {revision} too"
    return f", where replicas that need {revision} serve what they can until they are replaced, and do not start again"
