"""``python -m fieldloom``."""

import sys

from .cli import main

sys.exit(main())
