"""The paper's tables as printed, and ours beside them. Never trains."""

from __future__ import annotations

from bbnas.paper.found import Scored, find_scores, live_bicubic
from bbnas.paper.printed import TABLES, Published, published
from bbnas.paper.tables import PaperTable, paper_table
from bbnas.paper.write import FORMATS

__all__ = [
    "FORMATS",
    "TABLES",
    "PaperTable",
    "Published",
    "Scored",
    "find_scores",
    "live_bicubic",
    "paper_table",
    "published",
]
