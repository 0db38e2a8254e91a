"""The pages of the dashboard, in the order of its menu."""

from __future__ import annotations

from bbnas.dashboard import compare, design, overview, study, trust
from bbnas.dashboard.page import Page

PAGES: dict[str, Page] = {
    page.name: page for page in (overview.PAGE, study.PAGE, design.PAGE, compare.PAGE, trust.PAGE)
}
