"""Physical laws that any fitted model should obey: `audit_model`."""

from .auditing import CHECKS, audit_model
from .report import audit_object, write_audit_report
from .results import CheckResult, Curve
from .table import format_results

__all__ = [
    "CHECKS",
    "CheckResult",
    "Curve",
    "audit_model",
    "audit_object",
    "format_results",
    "write_audit_report",
]
