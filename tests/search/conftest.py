from __future__ import annotations

import sys
from pathlib import Path

# quick.py is imported by name, here as in Ray's workers.
sys.path.insert(0, str(Path(__file__).parent))
