"""``python -m bbnas``."""

from __future__ import annotations

import sys

from bbnas.cli import main

sys.exit(main())
