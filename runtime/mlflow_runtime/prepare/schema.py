"""MLflow's schema in one database: where it stands, and the way to where this image expects it.

The functions of mlflow.store.db.utils that `mlflow db upgrade` and the stores themselves use do the work; MLflow has no
public ones. On PostgreSQL an upgrade is one transaction, so a killed one leaves the revision that was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mlflow.store.db import utils as mlflow_db
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialModels
from mlflow.store.tracking.dbmodels.models import SqlExperiment
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore
from sqlalchemy import URL, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime.database.revisions import image_revisions
from mlflow_runtime.prepare.errors import PrepareError, remedy_of_lock
from mlflow_runtime.reasons import first_line
from mlflow_runtime.schema import declaration, history
from mlflow_runtime.schema.comparison import served_on
from mlflow_runtime.schema.declaration import Declaration
from mlflow_runtime.service.mlflow_app import ARTIFACT_ROOT

_MLFLOW_ALONE = (
    "point prepare at a database that MLflow has to itself, or restore this one; nothing was changed in it by this run"
)


class State(Enum):
    """FRESH: no revision yet. BEHIND: a migration is due. CURRENT: at the head that this image expects.

    NEWER: a newer image migrated it and declared that it serves this one. That is how a rollback finds it.
    """

    FRESH = "fresh"
    BEHIND = "behind"
    CURRENT = "current"
    NEWER = "newer"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The state of a database's schema and its revision (None while it is fresh)."""

    state: State
    revision: str | None


def expected_revision() -> str:
    """The head revision of the MLflow in this image."""
    return image_revisions().head


def examine(target: Engine) -> Standing:
    """Read where the schema stands; change nothing.

    Refuses a database ahead of this image (its revision is unknown here: a newer image migrated it) unless it is
    declared to serve it, one with several revisions, and one without a revision that holds tables which MLflow did not
    make.
    """
    with target.connect() as connection:
        found = declaration.read(connection)
        tables = set(inspect(connection).get_table_names())
    database, revisions = target.url.database, found.revisions
    if len(revisions) > 1:
        raise PrepareError(
            f"database {database!r} has {len(revisions)} schema revisions at once ({', '.join(sorted(revisions))})",
            "restore it to a time before they appeared",
        )
    if not revisions:
        # A first migration that was killed leaves the initial tables and no revision: that one goes on.
        if foreign := tables - set(InitialModels.metadata.tables) - {"alembic_version"}:
            raise PrepareError(
                f"database {database!r} has no MLflow revision, but holds tables: {', '.join(sorted(foreign))}",
                _MLFLOW_ALONE,
            )
        return Standing(state=State.FRESH, revision=None)
    revision = revisions[0]
    if revision == expected_revision():
        return Standing(state=State.CURRENT, revision=revision)
    if revision not in image_revisions().known:
        if found.serves(expected_revision()):
            return Standing(state=State.NEWER, revision=revision)
        raise PrepareError(
            f"database {database!r} is at schema revision {revision}, which this image does not know (its head is "
            f"{expected_revision()}) and which is not declared to serve it: a newer image migrated it, and MLflow does "
            "not migrate back",
            "deploy that newer image again, or restore the database to a time before its migration "
            "(the newer image recorded that time in prepare.restore_points)",
        )
    return Standing(state=State.BEHIND, revision=revision)


def serves(revision: str) -> bool:
    """Whether code that needs `revision` runs on the schema that this image expects."""
    return revision in served_on(history.known(), expected_revision())


def migrate(target: Engine, standing: Standing) -> None:
    """Bring the schema to the head revision and verify that it is there; do nothing where it is already.

    Declares which older images the new schema serves, before it is there: a replica of one that starts in the moment
    after the migration reads it. Leaves a NEWER schema alone.
    """
    match standing.state:
        case State.NEWER:
            return
        case State.FRESH:
            mlflow_db._initialize_tables(target)
        case State.BEHIND:
            _declare(target)
            _upgrade(target, standing)
    mlflow_db._verify_schema(target)
    _declare(target)


class _Tracking(TrackingStore):  # type: ignore[misc]  # MLflow publishes no types
    """MLflow's store without its refusal of data in workspaces, of which teams.py knows better."""

    def _initialize_store_state(self) -> None:
        with self.ManagedSessionMaker(read_only=False) as session:
            if session.get(SqlExperiment, int(self.DEFAULT_EXPERIMENT_ID)) is None:
                self._create_default_experiment(session)


class _Registry(RegistryStore):  # type: ignore[misc]  # MLflow publishes no types
    """The same of the registry's."""

    def _initialize_store_state(self) -> None:
        pass


def _upgrade(target: Engine, standing: Standing) -> None:
    try:
        mlflow_db._upgrade_db(target)
    except SQLAlchemyError as error:
        raise PrepareError(
            f"MLflow's migration of database {target.url.database!r} failed and was undone, so the schema is at "
            f"{standing.revision} as before: {first_line(error)}",
            _remedy(error),
        ) from error


def _remedy(error: SQLAlchemyError) -> str:
    return remedy_of_lock(error) or (
        "remove the cause: something in the database that MLflow's migrations did not make, or a full disk"
    )


def _declare(target: Engine) -> None:
    head = expected_revision()
    if served := served_on(history.known(), head):
        with target.begin() as connection:
            declaration.write(connection, Declaration(revision=head, serves=frozenset(served)))


def open_tracking_store(url: URL) -> None:
    """Open the store as a service would, which makes the default experiment where it is missing.

    Once, here, because replicas that start together would race for it, and a service that only reads the tracking
    database (the registry opens it too) may not make it.
    """
    store = _Tracking(url.render_as_string(hide_password=False), ARTIFACT_ROOT)
    store._dispose_engine()


def open_registry_store(url: URL) -> None:
    """Open the store as a service would."""
    store = _Registry(url.render_as_string(hide_password=False))
    store._dispose_engine()
