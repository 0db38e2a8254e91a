"""The paper's tables as printed, with ours beside them, as values; bbnas.reporting writes them."""

from __future__ import annotations

from bbnas.paper.printed import TABLES, Beside, Published, beside_printed, published
from bbnas.paper.scores import Scored, find_scores, live_bicubic, shipped_scores
from bbnas.paper.tables import PaperTable, paper_table

__all__ = [
    "TABLES",
    "Beside",
    "PaperTable",
    "Published",
    "Scored",
    "beside_printed",
    "find_scores",
    "live_bicubic",
    "paper_table",
    "published",
    "shipped_scores",
]
