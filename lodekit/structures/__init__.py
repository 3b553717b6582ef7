"""What comes in: reading extended XYZ, auditing it, packing it, finding neighbours."""

from .checks import check_structures
from .keys import TARGETS, FoundTarget, find_target, parse_key_options
from .reading import read_structures
from .targets import get_target
from .writing import write_structures

__all__ = [
    "TARGETS",
    "FoundTarget",
    "check_structures",
    "find_target",
    "get_target",
    "parse_key_options",
    "read_structures",
    "write_structures",
]
