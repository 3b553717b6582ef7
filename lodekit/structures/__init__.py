"""What comes in: reading extended XYZ, auditing it, packing it, finding neighbours."""

from .audit import audit_structures
from .audit_table import format_audit
from .checks import check_structures, frame_name
from .keys import TARGETS, FoundTarget, find_target, parse_key_options
from .reading import iterate_structures, read_structures
from .targets import get_target
from .writing import check_format, structure_writer, write_structures

__all__ = [
    "TARGETS",
    "FoundTarget",
    "audit_structures",
    "check_format",
    "check_structures",
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
