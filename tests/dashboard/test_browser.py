"""The dashboard in a real browser, beside searches that write."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bbnas.figures.theme import DARK, INK
from bbnas.study import Study
from tests.cli.small import PROTOCOL, SEARCH, SPACE
from tests.dashboard.browsing import CHROMIUM, PICTURES, served
from tests.dashboard.conftest import Writer

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

# How many candidates the front's figure has, and whether it has more than so many.
SHOWN = """() => [...new Set(document.querySelector("#study-front .js-plotly-plot").data
  .flatMap(trace => Array.from(trace.customdata ?? []).flat()))].length"""
MORE = SHOWN.replace("() =>", "least =>", 1) + " > least"
RANGE = (
    """name => document.querySelector(`#study-${name} .js-plotly-plot`)._fullLayout.yaxis.range"""
)
HIDDEN = """() => document.querySelector("#study-front .js-plotly-plot").data
  .filter(trace => trace.visible === "legendonly").map(trace => trace.name)"""
MARKED = """() => document.querySelector("#study-front .js-plotly-plot").data
  .filter(trace => trace.customdata)
  .reduce((sum, trace) => sum + (trace.selectedpoints ?? []).length, 0)"""
PLOT = "#study-front .nsewdrag"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page in which an error of the console fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    shown = context.new_page()
    shown.set_default_timeout(60_000)
    faults: list[str] = []
    shown.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    shown.on("pageerror", lambda error: faults.append(str(error)))
    shown.faults = faults
    yield shown
    fault = shown.locator("#fault")
    if fault.count() and fault.inner_text():
        faults.append(fault.inner_text())
    context.close()
    assert faults == []


@pytest.fixture(scope="module")
def studies(
    tmp_path_factory: pytest.TempPathFactory, synthetic_study: Callable[..., Study]
) -> Path:
    """A folder with two finished studies of 60 designs."""
    folder = tmp_path_factory.mktemp("studies")
    for seed, name in enumerate(("one", "two")):
        study = synthetic_study(60, seed=seed, name=name)
        writer = Writer(folder / f"{name}.db", study)
        for candidate in study.candidates:
            writer.write(candidate)
        writer.close()
    return folder


@pytest.fixture(scope="module")
def address(studies: Path) -> Iterator[str]:
    with served(str(studies)) as found:
        yield found


@contextmanager
def leaving(page: Any, dashboard: AbstractContextManager[str]) -> Iterator[str]:
    """The dashboard's address; the page leaves before it ends, which it would complain of."""
    with dashboard as found:
        yield found
        page.goto("about:blank")


def picture(page: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def drag(
    page: Any, start: tuple[float, float], end: tuple[float, float], name: str = "front"
) -> None:
    """Drag over the plot between two points, as shares of its width and height."""
    page.locator(f"#study-{name}").scroll_into_view_if_needed()
    box = page.locator(f"#study-{name} .nsewdrag").first.bounding_box()
    (x0, y0), (x1, y1) = (
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)
    )
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=6)
    page.mouse.up()


def hide_first(page: Any) -> None:
    """Hide the first entry of the front's legend.

    Plotly waits 0.3 s for a second click; a result that arrives meanwhile takes the first with it.
    """
    for _ in range(5):
        page.locator("#study-front .legendtoggle").first.click()
        page.wait_for_timeout(600)
        if page.evaluate(HIDDEN):
            return
    raise AssertionError("no entry could be hidden")


def open_study(page: Any, address: str, values: str = "") -> None:
    page.goto(f"{address}/study?study=one{values}")
    page.wait_for_selector(PLOT)
    page.wait_for_function("() => !document.querySelector('._dash-loading-callback')")


def test_a_search_appears_while_the_page_is_open_and_views_stay(page: Any, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SPACE))
    command = [sys.executable, "-m", "bbnas", *SEARCH, "--budget", "14", "--quiet"]
    search = subprocess.Popen(command, cwd=tmp_path)
    try:
        with leaving(page, served(folder=tmp_path)) as address:
            page.goto(address)
            page.get_by_role("link", name="first").first.click()
            page.wait_for_selector(PLOT)
            page.wait_for_function(MORE, arg=1)
            page.get_by_text("Learning curves").first.click()
            page.wait_for_selector("#study-curves .nsewdrag")
            page.wait_for_timeout(500)
            before = page.evaluate(SHOWN)
            page.locator("[data-title='Zoom']").first.click()
            hide_first(page)
            figures = ("front", "curves")
            zoomed = {}
            for name in figures:
                whole = page.evaluate(RANGE, name)
                drag(page, (0.2, 0.2), (0.8, 0.8), name)
                zoomed[name] = page.evaluate(RANGE, name)
                assert zoomed[name] != whole
            page.wait_for_function(MORE, arg=before)
            page.wait_for_timeout(1500)  # the curves follow
            assert {name: page.evaluate(RANGE, name) for name in figures} == zoomed
            assert page.evaluate(HIDDEN)
            assert search.poll() is None, "the search ended before a new point was seen"
    finally:
        search.kill()
        search.wait()


def test_a_selection_filters_the_page_and_is_in_the_address(page: Any, address: str) -> None:
    open_study(page, address, "&tab=candidates")
    page.wait_for_selector("#study-grid .ag-row")
    page.locator("[data-title='Box Select']").first.click()
    drag(page, (0.05, 0.05), (0.5, 0.95))
    page.wait_for_selector("#study-selected:has-text('selected')")
    page.wait_for_function("() => location.search.includes('area=')")
    number = int(page.inner_text("#study-selected").split()[0])
    assert 0 < number < 60
    assert page.evaluate(MARKED) == number
    rows = "document.querySelectorAll('#study-grid .ag-center-cols-container .ag-row').length"
    page.wait_for_function(f"most => {rows} <= most", arg=number)
    picture(page, "study-selected")
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    page.wait_for_selector(f"#study-selected:has-text('{number} design')")
    page.wait_for_function(f"number => ({MARKED})() === number", arg=number)
    page.click("#study-clear")
    page.wait_for_function("() => !location.search.includes('area=')")


def test_what_the_legend_hides_is_not_selected(page: Any, address: str) -> None:
    open_study(page, address)
    page.locator("[data-title='Box Select']").first.click()
    hide_first(page)
    drag(page, (0.01, 0.01), (0.99, 0.99))
    page.wait_for_function("() => location.search.includes('|!')")
    (hidden,) = page.evaluate(f"() => [...new Set(({HIDDEN})())]")
    dots = page.evaluate(
        """hidden => document.querySelector("#study-front .js-plotly-plot").data
          .filter(trace => trace.customdata && trace.name !== hidden)
          .flatMap(trace => trace.customdata).length""",
        hidden,
    )
    assert 0 < int(page.inner_text("#study-selected").split()[0]) <= dots < 60


def test_a_hidden_recommendation_is_not_selected(page: Any, address: str) -> None:
    open_study(page, address)
    page.wait_for_selector("#study-recommendation :text('trial')")
    star = "#study-front .traces:has(.legendtext:text-is('recommended')) .legendtoggle"
    page.locator(star).click()
    page.wait_for_function(f"() => ({HIDDEN})().includes('recommended')")
    page.locator("[data-title='Box Select']").first.click()
    drag(page, (0.01, 0.01), (0.99, 0.99))
    page.wait_for_function("() => location.search.includes('|!trial+')")
    (number,) = re.findall(r"\|!trial\+(\d+)", page.url)
    assert page.locator(f"#study-recommendation :text-is('trial {number}')").count() == 1


def test_values_are_brushed_by_mouse_and_by_keyboard(page: Any, address: str) -> None:
    open_study(page, address)
    value = page.locator("#study-parallel .annotation-text-g:has-text('hardtanh')").first
    value.click()
    page.wait_for_selector("#study-selected:has-text('selected')")
    page.wait_for_function("() => location.search.includes('choices=activation:+hardtanh')")
    one = int(page.inner_text("#study-selected").split()[0])
    page.wait_for_function(f"number => ({MARKED})() <= number", arg=one)
    picture(page, "study-brushed")
    page.focus("#study-values")
    page.keyboard.press("Enter")
    page.wait_for_selector(".dash-dropdown-search:focus")
    page.keyboard.type("activation: none")
    box = ".dash-dropdown-content .dash-options-list-option-checkbox"
    page.wait_for_function(f"() => document.querySelectorAll('{box}').length === 1")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f"{box}:focus")
    for key in ("Space", "Escape"):
        page.keyboard.press(key)
    page.wait_for_function("() => location.search.includes('|activation:+none')")
    page.wait_for_function(
        "one => parseInt(document.querySelector('#study-selected').innerText) > one", arg=one
    )
    value.click()
    page.wait_for_function("() => location.search.endsWith('choices=activation:+none')")
    page.click("#study-clear")
    page.wait_for_function("() => !location.search.includes('choices=')")


def test_a_budget_moves_the_recommendation(page: Any, address: str) -> None:
    open_study(page, address)
    page.wait_for_selector("#study-recommendation :text('trial')")
    free = page.inner_text("#study-recommendation")
    handle = page.locator("#study-ops [role=slider]")
    handle.focus()
    handle.press("Home")
    page.wait_for_function("() => location.search.includes('ops=')")
    page.wait_for_function(
        "free => document.querySelector('#study-recommendation').innerText !== free", arg=free
    )
    picture(page, "study-budget")


def test_dark_stays_and_a_phone_shows_everything(page: Any, address: str) -> None:
    open_study(page, address)
    light = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    picture(page, "study-light")
    page.click("#theme-switch")
    back = "() => getComputedStyle(document.body).backgroundColor"
    page.wait_for_function(f"light => ({back})() !== light", arg=light)
    page.reload()
    page.wait_for_selector(PLOT)
    assert page.evaluate(back) != light
    ink = "() => document.querySelector('#study-front .js-plotly-plot').layout.font.color"
    assert page.evaluate(ink) == DARK[INK]
    user = {"name": INK, "text": [INK], "marker": {"color": INK}}  # what is written is no colour
    assert page.evaluate("user => bbnasRecolour(user, 'dark')", user) == {
        **user,
        "marker": {"color": DARK[INK]},
    }
    picture(page, "study-dark")
    page.set_viewport_size({"width": 400, "height": 800})
    shown = {
        "": "table",
        "study?study=one": PLOT,
        "trust?study=one": "h1",
        "compare?study=one&study=two": ".nsewdrag",
    }
    for name, last in shown.items():
        page.goto(f"{address}/{name}")
        page.wait_for_selector(last)
        page.wait_for_function("() => !document.querySelector('._dash-loading-callback')")
        # Plotly draws a figure at its own width before it fits the page.
        page.wait_for_function("() => document.documentElement.scrollWidth <= 400")
        picture(page, f"phone-{name.partition('?')[0] or 'overview'}")


def test_the_text_of_a_database_is_no_markup(page: Any, studies: Path, tmp_path: Path) -> None:
    """Names as no command would store them: someone else wrote the file."""
    bad = '<img src=x onerror="window.harm = 1">'
    file = tmp_path / "one.db"
    shutil.copy(studies / "one.db", file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE bbnas_candidates SET baseline = ? WHERE number < 3", [bad])
        connection.execute("UPDATE bbnas_evaluations SET error = ? WHERE id < 9", [bad])
        connection.execute(
            "UPDATE bbnas_studies SET config = json_set(config, '$.data_description', ?)", [bad]
        )
        connection.execute("UPDATE bbnas_runs SET host = ?", [bad])
    with leaving(page, served(str(file))) as address:
        for view in ("", "study?study=one&tab=candidates", "design?study=one&trial=1"):
            page.goto(f"{address}/{view}")
            page.wait_for_selector("h1")
            page.wait_for_timeout(1500)
            if view.startswith("study"):
                box = page.locator(PLOT).first.bounding_box()
                for share in range(1, 20):  # what the pointer passes shows its text
                    page.mouse.move(
                        box["x"] + box["width"] * share / 20, box["y"] + box["height"] / 2
                    )
            assert page.evaluate("() => window.harm") is None
            assert page.locator("img[src=x]").count() == 0


def test_a_database_that_is_gone_and_comes_back(page: Any, studies: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.db"
    shutil.copy(studies / "one.db", file)
    with leaving(page, served(str(file))) as address:
        open_study(page, address)
        file.rename(tmp_path / "elsewhere")
        page.wait_for_selector("#banner :text('gone')")
        assert page.evaluate(SHOWN) > 0
        (tmp_path / "elsewhere").rename(file)
        page.wait_for_function("() => document.querySelector('#banner').innerText === ''")


def test_a_dashboard_that_has_ended_says_so(page: Any, studies: Path) -> None:
    with served(str(studies)) as address:
        open_study(page, address)
    page.wait_for_selector("#offline:has-text('does not answer')")
    page.faults.clear()  # the browser's own, of the connection


def test_a_design_is_opened_its_recipe_downloaded_and_trained(
    page: Any, address: str, tmp_path: Path
) -> None:
    open_study(page, address, "&tab=candidates")
    page.locator("#study-grid .ag-row .ag-cell").first.click()
    page.wait_for_url("**/design?**")
    page.wait_for_selector("#design-drawing [src^='data:image/svg']")
    picture(page, "design")
    with page.expect_download() as arriving:
        page.get_by_text("Download the recipe").first.click()
    recipe = tmp_path / "recipe.yaml"
    arriving.value.save_as(recipe)
    command = [sys.executable, "-m", "bbnas", "train", str(recipe), "--iterations", "2"]
    command += ["-o", str(tmp_path / "run"), "--quiet"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=240)
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_two_studies_are_compared(page: Any, address: str) -> None:
    page.goto(f"{address}/compare?study=one&study=two")
    page.wait_for_selector(".js-plotly-plot .scatterlayer")
    page.wait_for_timeout(500)
    text = page.inner_text("#page")
    assert "one" in text
    assert "two" in text
    picture(page, "compare")


def test_the_page_loads_nothing_from_elsewhere(page: Any, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_study(page, address)
    page.wait_for_timeout(500)
    assert asked
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)
    buttons = page.locator(".modebar-btn").evaluate_all("all => all.map(e => e.dataset.title)")
    assert "Lasso Select" in buttons
    assert not [title for title in buttons if "Chart Studio" in title or "Cloud" in title]


def test_every_control_has_a_name(page: Any, address: str) -> None:
    open_study(page, address)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=slider]")]
          .filter(e => e.offsetParent && !e.ariaHidden && !(e.ariaLabel || e.labels?.length
            || e.innerText?.trim() || e.getAttribute("aria-labelledby") || e.title
            || e.placeholder || e.closest("[role=group][aria-label]")))
          .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


def test_a_view_outlives_a_tab(page: Any, address: str) -> None:
    open_study(page, address, "&tab=curves")
    page.wait_for_selector("#study-curves .nsewdrag")
    drag(page, (0.2, 0.2), (0.8, 0.8), "curves")
    zoomed = page.evaluate(RANGE, "curves")
    page.get_by_text("Progress").first.click()
    page.wait_for_selector("#study-volume .nsewdrag")
    assert page.locator("#study-curves").count() == 0
    page.get_by_text("Learning curves").first.click()
    page.wait_for_selector("#study-curves .nsewdrag")
    page.wait_for_timeout(500)
    assert page.evaluate(RANGE, "curves") == zoomed


def test_a_click_on_the_legend_outlives_a_result(page: Any, studies: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.db"
    shutil.copy(studies / "one.db", file)
    with leaving(page, served(str(file))) as address:
        open_study(page, address)
        page.wait_for_selector("#study-recommendation :text('trial')")
        made = "() => document.querySelector('#study-front .js-plotly-plot').layout.meta.made"
        before = page.evaluate(made)
        page.evaluate(  # another figure comes 0.1 s after the click, within Plotly's wait
            """() => {
              const more = () => dash_clientside.set_props("study-area", { data: "ops|1,1,2,2" });
              document.querySelector("#study-front .legendtoggle")
                .addEventListener("mouseup", () => setTimeout(more, 100));
            }"""
        )
        page.locator("#study-front .legendtoggle").first.click()
        page.wait_for_function(f"before => ({made})() !== before", arg=before)
        page.wait_for_timeout(300)
        assert page.evaluate(HIDDEN)


def test_the_colour_bar_stays_beside_the_plot_when_the_page_gets_narrow(
    page: Any, address: str
) -> None:
    open_study(page, address)
    apart = """() => {
      const box = (what) => document.querySelector(`#study-front ${what}`).getBoundingClientRect();
      const [bar, plot] = [box(".cbfills"), box(".nsewdrag")];
      return bar.left >= plot.right || bar.top >= plot.bottom;
    }"""
    for width in (1280, 560, 900, 400, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(
            "width => Math.abs(document.querySelector('#study-front').clientWidth "
            "- document.querySelector('#study-front .main-svg').clientWidth) < 2",
            arg=width,
        )
        page.wait_for_function(apart)
