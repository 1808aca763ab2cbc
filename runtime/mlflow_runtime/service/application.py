"""A service's application: MLflow's own, inside the one list of middleware."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.types import ASGIApp

from mlflow_runtime import metrics
from mlflow_runtime.metrics import spool as spool  # joins the metrics
from mlflow_runtime.middleware import templates
from mlflow_runtime.middleware.access import matching
from mlflow_runtime.middleware.access.browser.exchange import with_entra
from mlflow_runtime.middleware.access.browser.page_script import PageScript
from mlflow_runtime.middleware.access.browser.sign_in import SignIn
from mlflow_runtime.middleware.access.gate import Gate
from mlflow_runtime.middleware.access.keys import Keys, fetched_from
from mlflow_runtime.middleware.access.matching import Matcher
from mlflow_runtime.middleware.access.settings import Access
from mlflow_runtime.middleware.access.tokens import Tokens
from mlflow_runtime.middleware.bodies import Bodies, Budget, limits
from mlflow_runtime.middleware.draining import Drain, Draining
from mlflow_runtime.middleware.file_answers import FileAnswers
from mlflow_runtime.middleware.head_limit import HeadLimit
from mlflow_runtime.middleware.health_routes import HealthRoutes
from mlflow_runtime.middleware.load_shedding import Shedding
from mlflow_runtime.middleware.observed import Observed
from mlflow_runtime.middleware.own_routes import OnlyOwnRoutes
from mlflow_runtime.middleware.templates import Template
from mlflow_runtime.middleware.worker_threads import WorkerThreads
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service.checks import checks_of
from mlflow_runtime.service.health import Check, Readiness
from mlflow_runtime.service.settings import BodyLimits, Databases, Settings

Layer = Callable[[ASGIApp], ASGIApp]


def middleware(
    found: Settings,
    drain: Drain,
    readiness: Readiness,
    template: Template,
    match: Matcher,
    gate: Sequence[Layer] = (),
) -> Sequence[Layer]:
    """Return all middleware of a service in the order in which a request passes it, the outermost first."""
    databases = found.databases
    return (
        # First, so that during a stop every answer ends its connection, whichever layer gives it.
        lambda app: Draining(app, drain),
        # Before all that may refuse, so that a refused request has an id, a log line and its share in the metrics too.
        lambda app: Observed(app, template),
        # Before any work is done for a request: what is beyond the limit must cost nothing.
        lambda app: Shedding(app, found.max_in_flight),
        # Only at the start: as many threads as connections. Artifacts has its own threads.
        *(() if databases is None else (lambda app: WorkerThreads(app, databases.connections),)),
        # Before the routes and MLflow's check of hosts: probes belong to no role and come by address.
        lambda app: HealthRoutes(app, readiness),
        lambda app: HeadLimit(app),
        # Before the routes and all of MLflow: without a token nobody learns more than that one is needed.
        *gate,
        # What goes on belongs to this role.
        lambda app: OnlyOwnRoutes(app, found.role),
        # Inside the bound on requests: a file that is on its way is in flight no longer. Artifacts sends its own.
        *(() if databases is None else (lambda app: FileAnswers(app),)),
        # Last: only what MLflow answers is taken whole and unpacked. Artifacts keeps bodies as they come.
        *(() if found.bodies is None else (_taking(found.bodies, match),)),
        # Behind all that may refuse, the bound on bodies included: what it does not answer is MLflow's.
        *(_hot(databases, found) if databases and databases.hot_path else ()),
    )


def _taking(bodies: BodyLimits, match: Matcher) -> Layer:
    return lambda app: Bodies(app, limits(match, bodies.longest), Budget.of(bodies.memory_mib))


def _hot(databases: Databases, found: Settings) -> Sequence[Layer]:
    # Loads MLflow, which a process loads after its environment is set.
    from mlflow_runtime.hotpath.layer import HotPath

    url = databases.tracking.update_query_dict({"application_name": f"mlflow-{found.role}-hot"})
    return (lambda app: HotPath(app, url, databases.hot_path, workspaces=found.access is not None),)


def application(found: Settings, mlflow: ASGIApp, drain: Drain) -> ASGIApp:
    """Return `mlflow`, the loaded application of this process, inside its middleware."""
    metrics.describe(found.role)
    checks = checks_of(found)
    match = matching.of_mlflow()
    gate: tuple[Layer, ...] = ()
    if found.access is not None:
        keys = Keys(fetched_from(found.access.keys_url))
        checks.append(keys_check(keys))
        gate = gate_of(found.access, keys, match, found.public_hosts if found.role is ServiceRole.TRACKING else ())
    return wrapped(mlflow, middleware(found, drain, Readiness(checks), templates.of_mlflow(), match, gate))


def keys_check(keys: Keys) -> Check:
    """Return the check by which a replica that can judge no token gets no requests, which it would have to refuse."""
    return Check(name="entra_keys", probe=keys.probe, decides=True)


def gate_of(access: Access, keys: Keys, match: Matcher, hosts: Sequence[str] = ()) -> tuple[Layer, ...]:
    """Return access control as the part of the list that `middleware` takes. One memory of tokens for the process.

    `hosts` are those at which people sign in, none in a service that has no pages.
    """
    tokens = Tokens(access, keys)
    gate: Layer = lambda app: Gate(app, access, tokens, match)  # noqa: E731 - a layer as the others of the list
    if not hosts:
        return (gate,)
    return (lambda app: SignIn(app, access, tokens, hosts, with_entra(access)), gate, PageScript)


def wrapped(app: ASGIApp, layers: Sequence[Layer]) -> ASGIApp:
    """Return `app` inside `layers`, the first of which is the outermost."""
    for layer in reversed(layers):
        app = layer(app)
    return app
