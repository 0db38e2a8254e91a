"""All that bbnas writes for readers: the report of a study, its CSV, figures, tables, Markdown."""

from __future__ import annotations

from bbnas.reporting.make import report
from bbnas.reporting.page import write_csv, write_page, write_parquet
from bbnas.reporting.show import (
    plot_curves,
    plot_front,
    plot_hypervolume,
    plot_parallel,
    plot_timeline,
    plot_times,
    study_html,
)

__all__ = [
    "plot_curves",
    "plot_front",
    "plot_hypervolume",
    "plot_parallel",
    "plot_timeline",
    "plot_times",
    "report",
    "study_html",
    "write_csv",
    "write_page",
    "write_parquet",
]
