from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest

from bbnas.analysis import findings, frame, recommend
from bbnas.analysis.findings import effects, summary
from bbnas.analysis.reasons import reasons, story
from bbnas.errors import UserError
from bbnas.evaluation import LatencySetting
from bbnas.fidelity import Fidelity, Interval, MeasuredFidelity, RankBias
from bbnas.figures.front import DRAWN
from bbnas.figures.theme import DARK, INK
from bbnas.reporting import write_csv, write_page
from bbnas.reporting.html import PLOTLY
from bbnas.reporting.page import ratio
from bbnas.space import load_space
from bbnas.tasks import get_task

EVIL = "<img src=x onerror=\"document.title='hacked'\"></script><script>alert(1)</script>"


class Page(HTMLParser):
    """Element ids, addresses that would be fetched, and text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._silent = False
        self.html = html
        self.feed(html)

    def handle_starttag(self, tag, attrs):  # type: ignore[no-untyped-def]
        found = dict(attrs)
        self.tags.append(tag)
        self._silent = tag in ("script", "style")
        if "id" in found:
            self.ids.add(found["id"])
        self.addresses += [found[name] for name in ("src", "href") if name in found]

    def handle_endtag(self, tag):  # type: ignore[no-untyped-def]
        self._silent = False

    def handle_data(self, data):  # type: ignore[no-untyped-def]
        if not self._silent:
            self.text += data

    def facts(self) -> dict[str, str]:
        """The rows of the table of the recommended design."""
        table = re.search('<table class="facts">(.*?)</table>', self.html, re.DOTALL)
        assert table
        rows = re.findall("<th[^>]*>(.*?)</th><td>(.*?)</td>", table[1])
        return {broken(unescape(name)): broken(unescape(value)) for name, value in rows}


def broken(text: str) -> str:
    """``text`` with the page's unbreakable spaces and hyphens as they are written elsewhere."""
    return text.replace("\u00a0", " ").replace("\u2011", "-")


def page(study, path, **kwargs):
    return Page(write_page(study, path, **kwargs).read_text(encoding="utf-8"))


def test_a_report_holds_every_section_and_nothing_from_elsewhere(
    synthetic_study, make_pictures, tmp_path
):
    study = synthetic_study(120, baselines=("bbcu-m",))
    found = page(study, tmp_path / "report.html", pictures=make_pictures())
    menu = re.findall('<a href="#([a-z]+)">', found.html[: found.html.index("</nav>")])
    sections = re.findall('<section id="([a-z]+)"', found.html)
    assert menu == sections  # the menu has the order of the page
    assert {"findings", "benefit", "hypervolume", "curves", "pictures", "front"} <= found.ids
    assert {f"t{c.number}" for c in study.candidates} <= found.ids
    assert all(
        a.startswith(("#", "data:image/png;base64,")) or a == PLOTLY for a in found.addresses
    )
    assert "link" not in found.tags


def test_latencies_have_a_section_of_their_own(synthetic_study, tmp_path):
    plain = synthetic_study(40)
    where = LatencySetting((64, 36), 2, "avx2", "a processor", "abc")
    timed = replace(
        plain,
        latency=where,
        candidates=tuple(
            replace(c, evaluation=replace(c.evaluation, latency=1e-12 * c.evaluation.ops))
            for c in plain.candidates
        ),
    )
    found = page(timed, tmp_path / "timed.html")
    assert {"times", "plot-times", "max-latency"} <= found.ids
    assert where.words() in found.text
    assert "ρ = 1.00" in found.text
    own = recommend(timed).candidate.evaluation
    assert f"{own.latency * 1e3:.2f}\u00a0ms"[:4] in found.facts()["latency"]
    without = page(plain, tmp_path / "plain.html")
    assert not {"times", "plot-times", "max-latency"} & without.ids
    assert "latency" not in without.facts()


def test_the_page_quotes_the_fidelity_of_its_protocol_or_its_command(synthetic_study, tmp_path):
    study = synthetic_study(20)
    command = "bbnas fidelity --task sr4"
    assert page(study, tmp_path / "a.html").text.count(command) == 2  # story and trust
    interval = Interval(0.71, 0.6, 0.8)
    result = Fidelity(
        designs=24, useful=20, floor=None, kendall_tau=interval, spearman_rho=interval, pairs=200,
        ordered_pairs=0.96, top=0.75, proxy_noise=0.03, long_noise=0.02, proxy_seconds=5.0,
        long_seconds=60.0, baselines={"OPs": interval},
        biases=(RankBias("normalisation", "batchnorm", 12, -0.2, 1e-4, significant=True),),
    )  # fmt: skip
    protocol = study.config.protocol
    known = MeasuredFidelity("sr4", "bbcu", protocol, protocol, "abc", result, {"device": "cpu"})
    text = page(study, tmp_path / "b.html", fidelity=known).text
    first_screen = " ".join(text[: text.index("The design")].split())
    assert "τ 0.71 [0.60, 0.80]" in first_screen
    assert command not in text


def test_the_first_table_is_the_recommendation(synthetic_study, make_pictures, tmp_path):
    study = synthetic_study(120, skip_psnr=24.0)
    chosen = recommend(study)
    found = page(study, tmp_path / "report.html", pictures=make_pictures())
    first_screen = broken(found.text[: found.text.index("The design")])
    for sentence in story(study, chosen, findings(study), ""):
        assert sentence.partition(", ")[0] in first_screen
    for value in (f"{chosen.psnr:.2f} dB", f"+{chosen.psnr - 25.3:.2f} dB", "(25.30 dB)"):
        assert value in first_screen  # the PSNR, and its gain over bicubic interpolation
    chosen = replace(chosen, untrained={"bicubic interpolation": 25.3} | dict(chosen.untrained))
    facts, best = found.facts(), chosen.alternatives["best PSNR"]
    e = chosen.candidate.evaluation
    assert f"{chosen.psnr:.2f} dB ± {1.96 * chosen.error:.2f} dB" in facts["PSNR"]
    assert dict(chosen.rows()).items() <= facts.items()
    assert f"trial {best.number}" in facts["against the best of the front"]
    assert facts["OPs"].endswith("× fewer than in full precision")
    number = chosen.candidate.number
    assert f"bbnas export first --pick 'trial {number}' -o recipe.yaml" in found.text
    for line in e.design.to_yaml().splitlines():
        assert line in found.text
    for reason in reasons(study, chosen, findings(study)):
        assert reason in broken(found.text)
    assert "26.75 dB" in first_screen  # under the restored crop
    assert study.config.data_description in found.text


def test_an_effect_has_one_value_on_the_page(synthetic_study, tmp_path):
    """The figure of effects, the reasons, the table of effects and the lines on screen agree."""
    study = synthetic_study(120, skip_psnr=24.0)
    found, html = findings(study), page(study, tmp_path / "r.html").html
    forest = html[html.index('<table class="forest">') :]
    rows = re.findall(r"<tr>(.*?)</tr>", forest[: forest.index("</table>")], re.DOTALL)[1:]
    assert len(rows) == len(found.effects) == len(effects(study))
    table = effects(study).set_index(["axis", "choice"])
    told = " ".join([*reasons(study, recommend(study), found), *summary(found)])
    for row, effect in zip(rows, found.effects, strict=True):
        cells = [c.strip() for c in re.findall(r"<td[^>]*>([^<]*)</td>", row)]
        value = f"{effect.effect:+.2f}".replace("-", "−").replace("+0.00", "0.00")
        value = value.replace("−0.00", "0.00")
        assert cells[0] == effect.choice
        assert cells[1] == value
        assert cells[3] == ("settled" if effect.settled else "not yet")
        assert cells[4].startswith(effect.basis)
        assert table.loc[(effect.axis, effect.choice), "settled"] == effect.settled
        if effect.axis in ("head", "body", "upsampling", "tail"):
            assert f"{value} dB [" in told
            assert f"{effect.state} ({effect.basis})" in told


def test_seed_noise_and_agreement_are_quoted(synthetic_study, tmp_path):
    study = synthetic_study(20, diverged=0)
    other = study.config.protocol.with_seed(1)
    longer = study.config.protocol.model_copy(update={"name": "long", "iterations": 5000})
    first = study.candidates[0].evaluation
    repeats = [replace(first, protocol=other, psnr=first.psnr + 0.1)]
    repeats += [replace(c.evaluation, protocol=longer) for c in study.candidates]
    text = page(study, tmp_path / "b.html", repeats=repeats).text
    assert "0.071 dB standard deviation (2 runs of 1 design)" in text
    assert "Kendall τ 1.00 with “long” over 20 designs" in text
    assert "0.071 dB" not in page(study, tmp_path / "a.html").text


METHODS = {
    (method, width): psnr + width / 64
    for method, psnr in {"bbcu": 25.7, "reactnet": 24.0, "bireal": 23.0, "bnn": 19.0}.items()
    for width in (32, 48, 64)
}


@pytest.mark.parametrize("task", ["denoise25", "jpeg10"])
def test_a_study_of_methods_ranks_them_and_speaks_of_its_own_task(methods_study, tmp_path, task):
    study = methods_study(METHODS, task=task, skip_psnr=20.5)
    first = study.candidates[0].evaluation
    seeds = [
        replace(first, protocol=first.protocol.with_seed(s), psnr=first.psnr + e)
        for s, e in ((1, 0.1), (2, -0.1))
    ]
    found = page(study, tmp_path / "report.html", repeats=seeds)
    assert "methods" in found.ids
    words = re.sub(r"[\s\u00a0]+", " ", found.text)
    ranked = words[words.index("Methods at equal parts") : words.index("VC and VP")]
    titles = ("BBCU", "ReActNet", "Bi-Real", "BNN")
    body = ranked[ranked.index("best, dB") :]
    assert tuple(re.findall("BBCU|ReActNet|Bi-Real|BNN", body)[:4]) == titles
    # −1.7 dB on all three widths; of three differences chance makes t(0.975, 2) = 4.303 times
    # 0.1 · sqrt(2/3), the noise of three runs being known no better.
    assert "−1.70" in ranked
    assert "± 0.35" in ranked
    assert f"BNN: 3 designs no better than {get_task(task).skip}" in ranked
    assert "1\u2011bit body (BBCU), 32 channels × 18 body convolutions" in words
    for foreign in ("bicubic", "interpolation", "upsampling", "set5", "srresnet"):
        assert foreign not in words.lower()
    assert ("on RGB" in words) == (task == "denoise25")
    assert ("on Y" in words) == (task == "jpeg10")
    backbone = {"denoise25": "DnCNN", "jpeg10": "DnCNN-3"}[task]
    assert re.search(rf"backbone {backbone}\s*data", words)
    assert "64×18 is trained as 16×18" in words
    # The axes of a unit say nothing of methods.
    table = words[words.index("All candidates") :]
    assert re.search(r"1-bit\s*method\s*width\s*depth\s*seconds", table)


def test_another_pick_is_what_the_page_recommends(synthetic_study, tmp_path):
    study = synthetic_study(60, diverged=0)
    found = page(study, tmp_path / "r.html", recommendation=recommend(study, "trial 11"))
    assert "Design (trial 11)" in found.text


@pytest.mark.parametrize("name", ["empty", "lost"])
def test_without_data_each_section_is_a_remark(synthetic_study, tmp_path, name):
    lost = synthetic_study(6, diverged=1.0, references=False)
    study = lost if name == "lost" else replace(lost, candidates=())
    found = page(study, tmp_path / "report.html")
    assert 'class="facts"' not in found.html
    assert not {"plot-volume", "budget" if name == "empty" else "plot-times"} & found.ids
    remarks = re.findall(
        r'<(?:section|div) id="(\w+)"[^>]*>\s*(?:<h2>[^<]*</h2>)?\s*<p class="empty">', found.html
    )
    always = ["recommended", "findings", "benefit", "worth", "hypervolume", "pictures"]
    more = ["front", "curves", "candidates"] if name == "empty" else []
    assert set(remarks) == {*always, *more}
    with pytest.raises(UserError) as error:
        recommend(study)
    assert str(error.value) in broken(found.text)


def test_a_choice_that_the_space_has_is_a_column(synthetic_study, tmp_path):
    plain = load_space("bbcu")
    axes = plain.axes.model_copy(update={"redistribution": (False, True)})
    spaces = (plain, plain.model_copy(update={"axes": axes}))
    texts = [
        page(synthetic_study(30, space=space), tmp_path / "report.html").text for space in spaces
    ]
    assert ["redistribution" in text for text in texts] == [False, True]


def test_a_single_candidate_makes_a_whole_page(synthetic_study, tmp_path):
    found = page(synthetic_study(1, diverged=0), tmp_path / "report.html")
    assert {"t0", "plot-front", "plot-volume", "plot-curves", "budget"} <= found.ids
    assert "PSNR" in found.facts()


def test_a_thousand_candidates_stay_small(synthetic_study, tmp_path):
    """A candidate adds 2.5 kB at most: 2.7 MB with what every page has."""
    few, many = (
        write_page(synthetic_study(n), tmp_path / f"{n}.html").stat().st_size for n in (120, 240)
    )
    assert many - few < 120 * 2500
    assert few < 120 * 2500 + 2e5


def test_csv_is_the_frame(synthetic_study, tmp_path):
    study = synthetic_study(30, diverged=0.2)
    path = write_csv(study, tmp_path / "new" / "study.csv")
    back = pd.read_csv(path, keep_default_na=False, na_values=[""])
    table = frame(study)
    assert list(back.columns) == list(table.columns)
    assert list(back["key"]) == list(table["key"])
    assert back["psnr"].to_numpy() == pytest.approx(table["psnr"].to_numpy(), nan_ok=True)
    assert list(back["norm"]) == list(table["norm"])  # "none" stays a word


@pytest.mark.parametrize("write", [write_page, write_csv])
def test_a_path_that_cannot_be_written_is_a_clear_error(synthetic_study, tmp_path, write):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file/report: cannot be written \(.+\); name another"):
        write(synthetic_study(2), tmp_path / "file" / "report")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_ratio_reads_as_people_write_it():
    assert [ratio(k) for k in (1 / 64, 0.5, 1.0, 0.3, 16.0)] == ["1/64", "1/2", "1", "0.3", "16"]


# In a real browser ---------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PROBE = """
<script>
window.faults = [];
addEventListener("error", (e) => faults.push("error: " + e.message));
addEventListener("unhandledrejection", (e) => faults.push("rejected: " + e.reason));
addEventListener("securitypolicyviolation", (e) => faults.push("blocked: " + e.blockedURI));
</script>
"""

ACTIONS = """
<script>
const use = async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const byId = (id) => document.getElementById(id);
  const rows = () => [...byId("table").tBodies[0].rows].filter((r) => !r.hidden);
  const column = (i) => rows().map((r) => r.cells[i].dataset.v ?? r.cells[i].textContent);
  const plots = [...document.querySelectorAll(".plot")];
  for (let i = 0; i < 200 && !plots.every((p) => p.dataset.drawn); i++) await wait(50);
  const out = { ready: Number(document.documentElement.dataset.ready) };
  out.drawn = plots.map((p) => Number(p.dataset.drawn));
  out.points = document.querySelectorAll("#plot-front .points path").length;
  out.rows = rows().length;
  const headings = [...byId("table").querySelectorAll("thead button")];
  const sorted = (name) => {
    const i = headings.findIndex((h) => h.textContent.trim() === name);
    if (i < 0) return null;
    headings[i].click();
    return column(i);
  };
  out.psnrDown = sorted("PSNR");
  out.psnrUp = sorted("PSNR");
  out.opsUp = sorted("OPs");
  out.names = sorted("activation");
  const type = (id, text) => {
    byId(id).value = text;
    byId(id).dispatchEvent(new Event("input", { bubbles: true }));
  };
  type("filter", "batchnorm");
  out.filtered = rows().length;
  out.shown = byId("shown").textContent;
  type("filter", "");
  byId("front-only").click();
  out.front = rows().length;
  byId("front-only").click();
  type("max-ops", "5");
  type("max-params", "60");
  out.budget = byId("budget-answer").textContent;
  const plot = byId("plot-front");
  const before = plot.data.map((t) => t.y);
  const shown = () => plot.data.filter((t) => t.visible).map((t) => t.meta.mode);
  out.start = shown();
  out.colours = [...document.querySelectorAll("[data-colour]")].map((b) => b.dataset.colour);
  document.querySelector("[data-colour=parts]")?.click();
  await wait(50);
  out.parts = shown();
  byId("overlay")?.click();
  await wait(50);
  out.overlay = shown();
  const first = plot.data.findIndex((t) => t.meta.mode === "params" && t.y[0] !== null);
  out.shift = before[first][0] - plot.data[first].y[0];
  byId("overlay")?.click();
  document.querySelector("[data-colour=params]").click();
  await wait(50);
  out.again = plot.data[first].y[0] === before[first][0] && shown().includes("params");
  out.title = document.title;
  out.lead = document.querySelector(".lead").textContent;
  out.images = [...document.images].map((i) => i.naturalWidth);
  out.fetched = performance.getEntriesByType("resource")
    .map((e) => e.name).filter((name) => !name.startsWith("data:"));
  return out;
};
addEventListener("load", () => use().catch((e) => ({ stopped: String(e.stack) })).then((out) => {
  out.faults = faults;
  document.body.textContent = "RESULT" + JSON.stringify(out) + "END";
}));
</script>
"""


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """Open a report in Chromium, use it, and bring back what it showed."""

    def run(study, actions=ACTIONS, size="1280,900", **kwargs):
        folder = tmp_path_factory.mktemp("browser")
        path = write_page(study, folder / "report.html", **kwargs)
        html = path.read_text(encoding="utf-8")
        html = html.replace("<title>", PROBE + "<title>", 1)
        end = html.rindex("</body>")
        path.write_text(html[:end] + actions + html[end:], encoding="utf-8")
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={size}",
            "--virtual-time-budget=30000",
            "--dump-dom",
            path.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found = re.search("<body>RESULT(.*)END", done.stdout, re.DOTALL)
        assert found, done.stdout[-2000:] + done.stderr[-2000:]
        out = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        assert "stopped" not in out, out
        # Plotly warns that it stops fitting its margins to a long legend, which then is as it is.
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        out["console"] = [line for line in said if "Too many auto-margin" not in line]
        return out

    return run


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")


@needs_browser
def test_in_a_browser_all_is_drawn_sorted_and_filtered(synthetic_study, make_pictures, visit):
    study = synthetic_study(1000, baselines=("srresnet", "bbcu-m"))
    out = visit(study, pictures=make_pictures(bicubic=25.3))
    table = frame(study)
    assert out["faults"] == []
    assert out["console"] == []
    assert out["fetched"] == []
    assert out["points"] > DRAWN  # of those that are not on the front a sample is drawn
    assert out["rows"] == 1000
    feasible = table[table["feasible"]]
    lost = len(table) - len(feasible)
    best_first = sorted(feasible["psnr"], reverse=True)
    assert [float(v) for v in out["psnrDown"][:-lost]] == pytest.approx(best_first)
    assert [float(v) for v in out["psnrUp"][:-lost]] == pytest.approx(best_first[::-1])
    assert out["psnrUp"][-lost:] == ["nan"] * lost  # without a PSNR: last either way
    assert [float(v) for v in out["opsUp"]] == pytest.approx(sorted(table["ops"]))
    assert out["names"] == sorted(table["activation"])
    assert out["filtered"] == (table["norm"] == "batchnorm").sum()
    assert out["shown"] == f"{out['filtered']} of 1000"
    within = feasible[
        (feasible["ops"] <= 5e9) & (feasible["params"] <= 60e3) & (feasible["baseline"] == "")
    ]
    best = within.loc[within["psnr"].idxmax()]
    assert out["budget"].startswith(f"Best PSNR: trial {best['number']}, {best['psnr']:.2f} dB")
    assert out["budget"].endswith(f"--pick 'trial {best['number']}'")
    assert "params" not in out["parts"]
    assert "parts" in out["parts"]
    assert "published" in out["overlay"]
    assert out["shift"] == pytest.approx(25.3)
    assert out["again"]
    assert out["images"] == [32] * 10
    assert len(out["drawn"]) == 5  # front, parallel coordinates, hypervolume twice, curves
    # 2 s is what a user is promised on an idle machine; tests share theirs.
    assert max(out["ready"], *out["drawn"]) < 10_000


@needs_browser
def test_in_a_browser_methods_are_coloured_first(methods_study, visit):
    out = visit(methods_study(METHODS, skip_psnr=20.5), inline=True)
    assert (out["faults"], out["console"], out["fetched"]) == ([], [], [])
    assert out["colours"] == ["methods", "params"]
    assert set(out["start"]) == {"always", "methods"}
    assert out["again"]  # by Params, once asked for
    assert out["rows"] == len(METHODS)
    assert out["names"] is None  # no column of activations


def evil_space():
    return load_space("bbcu", get_task("sr4")).model_copy(update={"name": EVIL})


@needs_browser
def test_in_a_browser_what_users_wrote_stays_text(synthetic_study, make_pictures, visit):
    study = synthetic_study(
        12, data_description=EVIL, sampler=EVIL, space=evil_space(), diverged=0
    )
    first, second, *rest = study.candidates
    evil = (
        replace(
            first, baseline=EVIL, evaluation=replace(first.evaluation, environment={EVIL: EVIL})
        ),
        replace(second, evaluation=replace(second.evaluation, status="failed", error=EVIL)),
    )
    study = replace(study, candidates=(*evil, *rest), storage=EVIL)
    pictures = make_pictures()
    pictures = replace(
        pictures, note=EVIL, crops=tuple(replace(c, name=EVIL) for c in pictures.crops)
    )
    out = visit(study, pictures=pictures)
    assert out["faults"] == []
    assert out["console"] == []
    assert EVIL in out["lead"]
    assert out["title"] == "first – bbnas"
    assert out["images"] == [32] * 10  # the crops, two twice, and no other image
    assert out["rows"] == 12


THEMES = """
<script>
addEventListener("load", async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const plot = document.getElementById("plot-front");
  for (let i = 0; i < 200 && !plot.dataset.drawn; i++) await wait(50);
  const root = document.documentElement, button = document.getElementById("theme");
  const state = () => [
    root.dataset.theme, getComputedStyle(document.body).backgroundColor, plot.layout.font.color,
    button.getAttribute("aria-pressed"),
  ];
  const out = { start: state(), y: plot.data.map((t) => t.y) };
  button.click();
  await wait(100);
  Object.assign(out, { other: state(), kept: localStorage.getItem("bbnas-theme") });
  button.click();
  await wait(100);
  out.back = state();
  out.same = JSON.stringify(out.y) === JSON.stringify(plot.data.map((t) => t.y));
  delete out.y;
  const wide = [...document.querySelectorAll("main *")].filter((e) =>
    !e.closest(".scroll, .tall, .plot, svg") && e.getBoundingClientRect().right > innerWidth + 1);
  out.wide = wide.map((e) => e.tagName + "." + e.className);
  out.reach = [...document.querySelectorAll("a, button, input")].every((e) => e.tabIndex >= 0);
  document.body.textContent = "RESULT" + JSON.stringify(out) + "END";
});
</script>
"""


@needs_browser
def test_in_a_browser_the_theme_changes_and_a_phone_has_room(
    synthetic_study, make_pictures, visit
):
    study = synthetic_study(40, skip_psnr=24.0, bicubic_psnr=24.5)
    out = visit(study, pictures=make_pictures(), actions=THEMES, size="400,900")
    ink = {"light": INK, "dark": DARK[INK]}
    assert out["start"] == ["light", "rgb(255, 255, 255)", ink["light"], "false"]
    assert out["other"][0] == out["kept"] == "dark"
    assert out["other"][2:] == [ink["dark"], "true"]
    assert out["other"][1] != out["start"][1]
    assert out["back"] == out["start"]
    assert out["same"]  # the figure keeps its data
    assert out["wide"] == []
    assert out["reach"]
    assert out["console"] == []
