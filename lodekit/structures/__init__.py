"""Reading extended XYZ, auditing it, packing it, finding neighbours."""

from .audit import audit_structures
from .audit_table import format_audit
from .batch import frame_name
from .checks import check_structures
from .keys import TARGETS, FoundTarget, find_target, parse_key_options
from .lookalikes import find_lookalikes
from .reading import iterate_structures, read_structures
from .targets import get_target
from .writing import check_format, structure_writer, write_structures

__all__ = [
    "TARGETS",
    "FoundTarget",
    "audit_structures",
    "check_format",
    "check_structures",
    "find_lookalikes",
    "find_target",
    "format_audit",
    "frame_name",
    "get_target",
    "iterate_structures",
    "parse_key_options",
    "read_structures",
    "structure_writer",
    "write_structures",
]
