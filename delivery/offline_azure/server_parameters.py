"""The parameters of a PostgreSQL flexible server: which Azure knows, which can be set, what a default does.

Sources: Microsoft Learn, "Server parameters in Azure Database for PostgreSQL" (its tables give default and kind; here
those of version 16 that a platform of this kind has a reason to set), pulumi-azure-native issue 4736 (a value that is
the default is not applied) and its custom resource for Configuration (a deletion sets the default again).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import CONFIGURATION
from delivery.offline_azure.errors import RefusedError


class Kind(enum.Enum):
    """When a change works: at once, after a restart, or never."""

    DYNAMIC = "dynamic"
    STATIC = "static"
    READ_ONLY = "read-only"


_D, _S, _R = Kind.DYNAMIC, Kind.STATIC, Kind.READ_ONLY
# Name: default and kind. None where the default follows from the size of the server.
PARAMETERS: Final[Mapping[str, tuple[str | None, Kind]]] = {
    "autovacuum": ("on", _D),
    "autovacuum_analyze_scale_factor": ("0.1", _D),
    "autovacuum_analyze_threshold": ("50", _D),
    "autovacuum_max_workers": ("3", _S),
    "autovacuum_naptime": ("60", _D),
    "autovacuum_vacuum_cost_limit": ("-1", _D),
    "autovacuum_vacuum_scale_factor": ("0.2", _D),
    "autovacuum_vacuum_threshold": ("50", _D),
    "azure.extensions": ("", _D),
    "client_connection_check_interval": ("0", _D),
    "deadlock_timeout": ("1000", _D),
    "idle_in_transaction_session_timeout": ("0", _D),
    "idle_session_timeout": ("0", _D),
    "lock_timeout": ("0", _D),
    "log_autovacuum_min_duration": ("-1", _D),
    "log_checkpoints": ("on", _D),
    "log_connections": ("on", _R),
    "log_disconnections": ("on", _R),
    "log_duration": ("off", _D),
    "log_hostname": ("off", _R),
    "log_line_prefix": ("%t-%c-", _D),
    "log_lock_waits": ("off", _D),
    "log_min_duration_statement": ("-1", _D),
    "log_min_messages": ("warning", _D),
    "log_replication_commands": ("on", _R),
    "log_statement": ("none", _D),
    "log_temp_files": ("-1", _D),
    "maintenance_work_mem": (None, _D),
    "max_connections": (None, _S),
    "max_locks_per_transaction": ("64", _S),
    "max_parallel_workers_per_gather": ("2", _D),
    "pgaudit.log": ("none", _D),
    "pgaudit.log_catalog": ("on", _D),
    "pgaudit.log_client": ("off", _D),
    "pgaudit.log_parameter": ("off", _D),
    "pgaudit.log_relation": ("off", _D),
    "pgaudit.log_statement_once": ("off", _D),
    "require_secure_transport": ("on", _D),
    "shared_preload_libraries": ("pg_cron,pg_stat_statements", _S),
    "ssl_max_protocol_version": ("", _D),
    "ssl_min_protocol_version": ("TLSv1.2", _D),
    "statement_timeout": ("0", _D),
    "tcp_keepalives_count": ("9", _D),
    "tcp_keepalives_idle": ("120", _D),
    "tcp_keepalives_interval": ("30", _D),
    "work_mem": ("4096", _D),
}


def refusal(type_token: str, inputs: Mapping[str, Any]) -> RefusedError | None:
    """Return why Azure refuses to set a parameter; None if it sets it."""
    if type_token != CONFIGURATION:
        return None
    name = str(inputs.get("configurationName"))
    if name not in PARAMETERS:
        return RefusedError(
            400,
            "ServerParameterDoesNotExist",
            f"The server parameter '{name}' does not exist, or is not among those that the offline Azure knows "
            "(delivery/offline_azure/server_parameters.py).",
        )
    if PARAMETERS[name][1] is Kind.READ_ONLY:
        return RefusedError(400, "ServerParameterIsReadOnly", f"The server parameter '{name}' is read-only.")
    return None


def written_back(type_token: str, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as Azure has them: setting a parameter to its default leaves the value that is there."""
    if type_token == CONFIGURATION and old and inputs.get("value") == PARAMETERS[inputs["configurationName"]][0]:
        return {**inputs, "value": old["value"]}
    return dict(inputs)
