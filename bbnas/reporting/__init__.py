"""A study as one HTML page that opens anywhere, and as CSV. Never trains."""

from __future__ import annotations

from bbnas.reporting.page import write_csv, write_report
from bbnas.reporting.pictures import Crop, Pictures

__all__ = ["Crop", "Pictures", "write_csv", "write_report"]
