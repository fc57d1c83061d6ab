"""The static site: it is built, gives no solution away, needs no network, and reads well on a phone and in the dark."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

from attention_lab.variants import VARIANTS
from support.cells import cells_of
from support.places import MASTERS, ROOT, STEMS

pytestmark = [pytest.mark.process, pytest.mark.needs("site"), pytest.mark.needs("models")]

LESSONS = [path.stem for path in sorted((ROOT / "release" / "lessons").glob("*.ipynb"))]
# Pages that are kept as pictures; all are opened
SHOWN = {
    "index": "readme",
    "release/START": "start",
    "release/lessons/L0_attention_step_by_step": "lesson_l0",
    "release/lessons/L1_compare_the_variants": "lesson_l1",
    "docs/teaching": "teaching",
    "api": "api",
}
# What loads a file by itself, and where it says which
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
WIDTHS = (400, 1400)
# Which of the page and its text scroll sideways; tables and code may, each in its own place
SIDEWAYS = """[document.documentElement, document.querySelector('.content')]
  .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.outerHTML.slice(0, 60))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make site`` builds it: Sphinx's warnings, links that lead nowhere among them, end it."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), "--into", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, BeautifulSoup]:
    """All pages, by their paths without ``.html``."""
    found = {str(path.relative_to(site).with_suffix("")): path for path in sorted(site.rglob("*.html"))}
    return {name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for name, path in found.items()}


def solution_lines() -> Iterator[str]:
    """Lines of code in the solutions that stand in nothing that students get."""
    given = "\n".join(
        cell.source for path in (ROOT / "release").rglob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells
    )
    for path in MASTERS.values():
        for region in re.findall(
            "### BEGIN SOLUTION\n(.*?)### END SOLUTION",
            "\n".join(cell.source for cell in cells_of(path).values()) + "\n",
            re.S,
        ):
            lines = (line.strip() for line in region.split("\n"))
            yield from (line for line in lines if len(line) > 12 and line[0] != "#" and line not in given)


def test_site_has_readme_start_lessons_exercises_pages_and_api(pages):
    wanted = {"index", "api", "release/START", "docs/teaching", "docs/grading_a_class", "docs/lms"}
    wanted |= {"docs/running_a_course", "SECURITY", "CONTRIBUTING"}
    wanted |= {f"release/lessons/{lesson}" for lesson in LESSONS} | {f"release/{stem}/{stem}" for stem in STEMS}
    assert wanted <= set(pages)
    leads_to = {link["href"].partition("#")[0] for link in pages["index"].select(".sidebar-tree a[href]")}
    assert {f"{name}.html" for name in wanted - {"index"}} <= leads_to


def test_lessons_were_run_and_show_their_pictures(pages):
    for lesson in LESSONS:
        page = pages[f"release/lessons/{lesson}"]
        assert "Traceback" not in page.text
        assert len(page.select(".cell_output img")) >= 2, lesson
        assert "the lesson was run with a right answer to every notebook" in page.text
    for name in VARIANTS:
        assert re.search(rf"{name} +loaded", pages["release/lessons/L1_compare_the_variants"].text), name
    assert "The explorer needs a running kernel" in pages["release/lessons/L2_mask_explorer"].text


def test_api_page_describes_what_notebooks_import(pages):
    named = {entry["id"] for entry in pages["api"].select("dt[id]")}
    assert {"attention_lab.check", "attention_lab.attention_map", "attention_lab.PaddedBatch"} <= named
    assert {"attention_lab.compare.agreement", "attention_lab.explorer.explore"} <= named


def test_no_line_of_a_solution_is_on_the_site(site, pages):
    lines = set(solution_lines())
    assert len(lines) >= 3 * len(STEMS)
    shown = {name: page.get_text() for name, page in pages.items()}
    files = [path for path in site.rglob("*") if path.suffix in (".js", ".txt", ".ipynb", ".md", ".py", ".inv")]
    shown |= {str(path.relative_to(site)): path.read_text(encoding="utf-8", errors="replace") for path in files}
    assert [(name, line) for name, text in shown.items() for line in lines if line in text] == []
    assert not [name for name, text in shown.items() if "BEGIN HIDDEN TESTS" in text and "/" in name]


def test_links_lead_somewhere(site, pages):
    ids = {name: {tag["id"] for tag in page.select("[id]")} for name, page in pages.items()}
    lost = []
    for name, page in pages.items():
        for link in page.select("a[href]"):
            there = urlsplit(link["href"])
            if there.scheme or there.netloc:
                continue
            path = (site / f"{name}.html").parent / unquote(there.path) if there.path else site / f"{name}.html"
            target = str(path.resolve().relative_to(site.resolve()).with_suffix("")) if path.is_file() else ""
            if not target or (there.fragment and path.suffix == ".html" and there.fragment not in ids[target]):
                lost.append((name, link["href"]))
    assert lost == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        for kind, place in LOADED.items():
            addresses = [tag[place] for tag in page.select(f"{kind}[{place}]")]
            assert [each for each in addresses if re.match(r"(https?:)?//", each)] == [], (name, kind)
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text(encoding="utf-8")), path.name


@pytest.mark.browser
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_fits_a_phone_and_a_wide_screen(site, pages, browser: Browser, shots, theme):
    context = browser.new_context(color_scheme=theme)
    page = context.new_page()
    complaints, asked, sideways = [], [], []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for name in pages:
        page.goto((site / f"{name}.html").as_uri())
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(each => each < 128)")
        assert dark == (theme == "dark"), name
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            sideways += [(name, width, part) for part in page.evaluate(SIDEWAYS)]
            if name in SHOWN:
                page.screenshot(path=shots / f"{SHOWN[name]}_{theme}_{width}.png", full_page=True)
    context.close()
    assert sideways == []
    assert complaints == []
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []
