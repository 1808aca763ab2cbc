"""What of MLflow the hot path was written from, each with its digest. Where one changed, it stays off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mlflow.entities import Experiment, Metric, Run, RunData, RunInfo, RunInputs, RunOutputs
from mlflow.entities.metric import MetricWithRunId
from mlflow.server import fastapi_app, fastapi_security, handlers, security, workspace_helpers
from mlflow.server.handlers import _get_request_message, _validate_request_json_with_schema
from mlflow.store.tracking import sqlalchemy_store
from mlflow.store.tracking.dbmodels.models import (
    SqlDataset,
    SqlExperiment,
    SqlExperimentTag,
    SqlInputTag,
    SqlLatestMetric,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils import proto_json_utils, validation
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from mlflow.utils.uri import append_to_uri_path

from mlflow_runtime.patches.unchanged import is_unchanged

READ: Final[Sequence[tuple[Any, str]]] = (
    (fastapi_app.add_fastapi_workspace_middleware, "d8d5ee8b68c37228"),
    (fastapi_app.add_gateway_timing_middleware, "8ddc5843da616e60"),
    (fastapi_app.create_fastapi_app, "eea5803dc258b688"),
    (fastapi_security.SecurityHeadersMiddleware, "a07006e6b80493c6"),
    (fastapi_security.CORSBlockingMiddleware, "5e4e55e811505c5e"),
    (proto_json_utils.message_to_json, "a9b66a85e21d0f11"),
    (fastapi_security.init_fastapi_security, "b85decbd99697f19"),
    (security.init_security_middleware, "a6c0a020010936de"),
    (_get_request_message, "6f8d3d06867cd171"),
    (_validate_request_json_with_schema, "552a7b4dfde11df8"),
    (handlers._validate_param_against_schema, "b84d70b362530271"),
    (handlers._reject_conflicting_field_aliases, "7065c7f8e0c2972c"),
    (proto_json_utils.parse_dict, "aa9949a0476ce711"),
    (handlers.catch_mlflow_exception, "e2b5d5211322f474"),
    (handlers._create_run, "777c96151377e588"),
    (handlers._update_run, "b6bb7230a3c8bfd6"),
    (handlers._get_run, "ee630dfb51486be9"),
    (handlers.get_run_impl, "9482ab6ad3d6d15f"),
    (handlers._log_metric, "fff8344526657c6f"),
    (handlers._log_param, "dc64be17a2a4be75"),
    (handlers._set_tag, "0ea0f163376f67c2"),
    (handlers._log_batch, "9afe7a1d3378e919"),
    (Metric, "780f059b99fb4cff"),
    (SqlAlchemyStore.create_run, "1977e5b6797b5385"),
    (SqlAlchemyStore.update_run_info, "14938c2a7fe61092"),
    (SqlAlchemyStore._get_experiment, "e0b652dfc2f17b39"),
    (SqlAlchemyStore._check_experiment_is_active, "73de7d7bfa78f865"),
    (SqlAlchemyStore._get_or_create, "f61daf944d3561a1"),
    (SqlAlchemyStore._get_run, "bdb42651147d8265"),
    (SqlAlchemyStore._check_run_is_active, "2d0a464a2b7cfff5"),
    (SqlAlchemyStore.get_run, "bd060906b88f7c59"),
    (SqlAlchemyStore._get_run_inputs, "48b091ad4c46c6d1"),
    (SqlAlchemyStore._get_model_inputs, "e1fd61eddced1a35"),
    (SqlAlchemyStore._get_model_outputs, "469fc35c666741a3"),
    (SqlAlchemyStore._get_eager_run_query_options, "330a2eef9e9f2cc6"),
    (WorkspaceAwareSqlAlchemyStore._get_query, "9cc926bae14f7d80"),
    (workspace_helpers.resolve_workspace_for_request_if_enabled, "6a120d154ab0367e"),
    (SqlAlchemyStore.log_metric, "6879e33b0b4706d9"),
    (SqlAlchemyStore.sanitize_metric_value, "6552ab68700c2dcd"),
    (SqlAlchemyStore._log_metrics, "0affe82445dca798"),
    (SqlAlchemyStore._log_metrics_once, "f1c94a7256af5033"),
    (SqlAlchemyStore._update_latest_metrics_if_necessary, "9a68eb580f007f5e"),
    (SqlAlchemyStore._log_model_metrics, "9d372bcc541d31f6"),
    (SqlAlchemyStore.log_param, "59473f77e3089520"),
    (SqlAlchemyStore._log_params, "35754b45b5a5d30a"),
    (SqlAlchemyStore.set_tag, "b23963bf08b06c99"),
    (SqlAlchemyStore._set_tags, "a47520dc63cd5d01"),
    (SqlAlchemyStore.log_batch, "5616623d30fd5426"),
    (handlers._get_metric_history, "36f50171b2d09e85"),
    (handlers.get_metric_history_bulk_interval_handler, "0109aed21e9df7ab"),
    (handlers.get_metric_history_bulk_interval_impl, "314df9d19b0a3b0a"),
    (SqlAlchemyStore.get_metric_history, "2dc49cb772ee972b"),
    (SqlAlchemyStore.get_metric_history_bulk_interval, "acca1180ce9b26b2"),
    (SqlAlchemyStore._sample_metric_history_single_run, "d1d958e93bfb11f5"),
    (SqlAlchemyStore._sample_rows_with_window_functions, "ab1a8649ad93abc7"),
    (WorkspaceAwareSqlAlchemyStore._validate_run_accessible, "e718b16bcaccbdf6"),
    (MetricWithRunId, "6285a4a33f5d4b94"),
    (SqlMetric.to_mlflow_entity, "ed77c08f03d747e1"),
    (SearchUtils.create_page_token, "e8ad771ab8aa6a57"),
    (SqlLatestMetric.to_mlflow_entity, "ed77c08f03d747e1"),
    (SqlParam.to_mlflow_entity, "5bc5d986f2dc739c"),
    (SqlTag.to_mlflow_entity, "26434edff5d9f90b"),
    (SqlDataset.to_mlflow_entity, "2e1785160634a69f"),
    (SqlInputTag.to_mlflow_entity, "e6213714e8d1740c"),
    (Run.to_proto, "71cea2026e5b32ed"),
    (SqlRun.to_mlflow_entity, "dd189709d05fa35f"),
    (append_to_uri_path, "fa00c9acf2260015"),
    (handlers._search_runs, "7549b2693d063100"),
    (handlers.search_runs_impl, "8df9382dd1bbac29"),
    (handlers._search_experiments, "0721f6ab0cf4aa6c"),
    (SqlAlchemyStore._search_runs, "5235efb440f86762"),
    (SqlAlchemyStore._get_model_outputs_bulk, "c4f5e9ee613b396a"),
    (SqlAlchemyStore._search_experiments, "d3198a54dc83f34b"),
    (SqlAlchemyStore._to_experiment, "21273162f46b68b0"),
    (SqlAlchemyStore._get_effective_experiment_trace_archival_retention_context, "0c1fdda16fc7c80d"),
    (WorkspaceAwareSqlAlchemyStore._filter_experiment_ids, "21e7050fe8434850"),
    (WorkspaceAwareSqlAlchemyStore._experiment_where_clauses, "3479d58552292a47"),
    (sqlalchemy_store._get_sqlalchemy_filter_clauses, "faede20adc4b42a6"),
    (sqlalchemy_store._get_orderby_clauses, "c048293f9b23c520"),
    (sqlalchemy_store._parse_experiment_ids, "9d562d9ca61058a5"),
    (sqlalchemy_store._get_search_experiments_order_by_clauses, "8c28af297775bea8"),
    (SearchUtils, "912809efcc1419ac"),
    (SqlRun.get_attribute_name, "5c59ec2618c765ef"),
    (SqlExperiment.to_mlflow_entity, "614ceda55db2b26e"),
    (SqlExperimentTag.to_mlflow_entity, "152a47a01a83bbd9"),
    (RunInfo.to_proto, "baedf9ddbc58edfb"),
    (RunData, "d53ffc346fec9735"),
    (RunInputs.to_proto, "af7608228f851787"),
    (RunOutputs.to_proto, "3cd586633459d97e"),
    (Experiment, "55d29201a1c49f12"),
    (SearchExperimentsUtils, "b9d8ab7625803b1e"),
    (validation._validate_batch_log_api_req, "379021763a8d6c37"),
    (validation._validate_batch_log_data, "1f02c1f067b65111"),
    (validation._validate_param_keys_unique, "abe844d2b8ad8abc"),
)


def changed() -> Sequence[str]:
    """Return the names of what is not what it was; each is logged with its digest."""
    return [target.__qualname__ for target, digest in READ if not is_unchanged(target, digest)]
