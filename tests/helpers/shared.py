"""Data outside the repository, which some tests need: benchmark sets and the paper's tables.

$BBNAS_SHARED is their folder; by default it is ``shared`` beside the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("BBNAS_SHARED") or Path(__file__).resolve().parents[3] / "shared")
BENCHMARKS = SHARED / "data" / "test"  # holds Set5/, Set14/ and Classic5/
TABLES = SHARED / "paper"  # holds the paper's tables as CSV

needs_benchmarks = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason=f"no benchmark sets in {BENCHMARKS}: set BBNAS_SHARED"
)
needs_tables = pytest.mark.skipif(
    not TABLES.is_dir(), reason=f"no tables of the paper in {TABLES}: set BBNAS_SHARED"
)
