"""Which role does what, by hand, so that a rule that changes is noticed."""

from __future__ import annotations

from mlflow_runtime.middleware.access.classes import Class

MAY: dict[Class, set[str]] = {
    Class.OPEN: {"Reader", "Contributor", "Registrar", "Admin"},
    Class.READ: {"Reader", "Contributor", "Registrar", "Admin"},
    Class.WRITE: {"Contributor", "Registrar", "Admin"},
    Class.REGISTER: {"Registrar", "Admin"},
    Class.ADMINISTER: {"Admin"},
    Class.FORBIDDEN: set(),
}
