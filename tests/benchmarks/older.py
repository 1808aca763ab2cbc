"""What the runtime imports and MLflow before 3.17 does not have; loaded when Python starts, by a `.pth` beside it."""

import sys
from types import ModuleType

_ROLLUP = ModuleType("mlflow.tracing.trace_rollup_service")
_ROLLUP.validate_sql_trace_rollup_startup = lambda *_, **__: None  # type: ignore[attr-defined]
sys.modules[_ROLLUP.__name__] = _ROLLUP
