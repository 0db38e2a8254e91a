"""A study as one HTML page that opens anywhere, and as CSV. Never trains."""

from __future__ import annotations

from bbnas.report.page import write_csv, write_report
from bbnas.report.pictures import Crop, Pictures

__all__ = ["Crop", "Pictures", "write_csv", "write_report"]
