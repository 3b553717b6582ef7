"""Physical laws that any fitted model should obey: `audit_model`."""

from .auditing import CHECKS, audit_model
from .results import CheckResult
from .table import format_results

__all__ = ["CHECKS", "CheckResult", "audit_model", "format_results"]
