"""``python -m lodekit`` is the command ``lodekit``."""

import sys

from lodekit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
