"""Pages take a moment, whatever stands in a cell: nbgrader waits for one before it writes the next."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_output
from nbgrader.server_extensions.formgrader import handlers
from traitlets.config import Config

from attention_grading.judging.diagnosis.names import SENTENCES
from attention_grading.judging.verdict import CheckResult, Verdict, not_judged
from attention_grading.nbgrader_plugin.feedback_page import FeedbackExporter
from attention_grading.nbgrader_plugin.page_code import (
    MAX_COLOURED_CELL,
    MAX_COLOURED_PAGE,
    PageCode,
    without_long_gaps,
)
from attention_grading.notebooks.transplant import BROKEN
from attention_grading.notebooks.verdict_cells import write_verdict
from attention_lab.notebook.learner_cells import MAX_CODE
from attention_lab.variants import VARIANTS
from support.places import ROOT
from support.within import within

STEM = "02_eager_causal"
SECONDS = 6  # one, on a machine with something else to do


def feedback(*sources: str, text: str = "") -> str:
    return page_of(graded(*sources, text=text))


def page_of(notebook: nbformat.NotebookNode, **names: object) -> str:
    """The feedback page of a graded notebook, without a gradebook."""
    config = Config()
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    styles = Path(handlers.static_path, "node_modules", "bootstrap", "dist", "css")
    config.HTMLExporter.extra_template_paths = [str(styles)]
    known = {"notebook": STEM, "assignment": STEM, "student": "s", "score": 1, "max_score": 10, "late_penalty": 0}
    return FeedbackExporter(config=config).from_notebook_node(notebook, {"nbgrader": known | names})[0]


def formgrader(*sources: str, text: str = "") -> str:
    """A page of Formgrader's, with what the course's configuration sets."""
    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    exec(
        next(line for line in _configuration() if line.startswith("from attention_grading.nbgrader_plugin.page_code")),
        names := {},
    )
    for line in _configuration():
        if line.startswith("c.HTMLExporter."):
            exec(line, names | {"c": config})
    names = ("assignment_id", "notebook_id", "submission_id", "base_url", "student", "last_name", "first_name")
    resources = {**dict.fromkeys((*names, "notebook_path"), "x"), "index": 1, "total": 1}
    return HTMLExporter(config=config).from_notebook_node(graded(*sources, text=text), resources)[0]


def _configuration() -> list[str]:
    return (ROOT / "nbgrader_config.py").read_text().splitlines()


def graded(*sources: str, text: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(ROOT / "source" / STEM / f"{STEM}.ipynb", as_version=4)
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.update(score=1.0, points=1, comment=None)
    outputs = [new_output("stream", text=text), new_output("error", ename="E", evalue="", traceback=[text])]
    notebook.cells += [new_code_cell(source, outputs=outputs if text else []) for source in sources]
    return notebook


PIECES = (
    "\n", "   \n", " \n\t\n", "\x0b\n", "\t", " ", "'", '"', "\\", "(", "[", "{", 'f"{', "f'''{", "'\\N{", "\\N{", "1",
    ".", "a.", "1_", "@", "?", "%", "%%x\n", "#", "a", "ж", "x = [f(1, 'a')]  # b\n",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_no_cell_makes_a_page_take_long(piece):
    long = (piece * MAX_CODE)[: MAX_CODE - 1] + "x"
    just_coloured = long[: MAX_COLOURED_CELL - 2] + "x"
    for cells in ([long], [just_coloured] * (MAX_CODE // MAX_COLOURED_CELL)):
        with within(SECONDS):
            feedback(*cells)


@pytest.mark.slow
def test_formgraders_page_takes_a_moment_too():
    for cell in ("   \n" * 50_000 + "x", "'" + "\\N{" * 100_000):
        with within(SECONDS):
            formgrader(cell)


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a", "<", "&", "\x1b[", "\x1b[1m", "\x1b[1;", "\n", " ", "http://", "'"])
@pytest.mark.parametrize("page", [feedback, formgrader])
def test_no_output_makes_a_page_take_long(page, piece):
    with within(SECONDS):
        page("x = 1", text=(piece * 40_000)[:40_000])


@pytest.mark.parametrize("page", [feedback, formgrader])
def test_code_of_usual_length_is_coloured(page):
    assert '<span class="k">lambda</span>' in page("f = lambda: 1")


@pytest.mark.parametrize("page", [feedback, formgrader])
def test_long_code_is_there_in_full_as_text(page):
    html = page("\n".join(f"x{number} = '<b>&'" for number in range(2000)))
    assert "x0 = '&lt;b&gt;&amp;'" in html.replace("&#x27;", "'").replace("&#39;", "'")
    assert "x1999 = " in html
    assert "<b>&" not in html


@pytest.mark.browser
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("page", [feedback, formgrader])
@pytest.mark.parametrize("width", [390, 1000])
def test_no_line_of_an_output_runs_off_the_edge(page, width, tmp_path):
    """Formgrader cut the diagnosis at the right edge of the window."""
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    html = page("x = 1  # " + "a long remark " * 20, text="a long diagnosis of many words " * 20 + "x" * 300)
    path.write_text(html.replace('"x/formgrader/static', f'"{Path(handlers.static_path).as_uri()}'))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": width, "height": 800})
        view.route("http*://**", lambda route: route.abort())
        view.goto(path.as_uri(), wait_until="domcontentloaded")
        rights = view.evaluate(RIGHT_EDGES)
        browser.close()
    assert len(rights) > 2
    assert max(rights) <= width


# Where the text of each code cell and output ends, whatever cuts it
RIGHT_EDGES = """[...document.querySelectorAll('.input_area pre, .output_area pre')].map(each => {
  const range = document.createRange(); range.selectNodeContents(each);
  return Math.max(0, ...[...range.getClientRects()].map(one => one.right)) })"""


@pytest.mark.slow
def test_each_page_has_the_whole_room_for_colours():
    exporter_pages = [feedback(*["f = lambda: 1" + "\n# x" * 2000] * 2) for _ in range(3)]
    assert all('<span class="k">lambda</span>' in html for html in exporter_pages)
    page = PageCode()
    cells = [page("x = 1\n" * (MAX_COLOURED_CELL // 6)) for _ in range(MAX_COLOURED_PAGE // MAX_COLOURED_CELL + 2)]
    assert "<span" in cells[0]
    assert "<span" not in cells[-1]


def test_long_gaps_are_closed_and_short_ones_stay():
    assert without_long_gaps("a\n\n\nb\n  c") == "a\n\n\nb\n  c"
    assert without_long_gaps("a  \n" + " \t\n" * 1000 + "b") == "a\n\n\nb"


# ---- what a student sees first ---------------------------------------------------------------------------------------


def judged(mistake: str = "mask-ignored") -> nbformat.NotebookNode:
    """A notebook with one failed check, and a function of the learner's."""
    notebook = graded(text="")
    variant = VARIANTS["eager_causal"]
    results = {name: CheckResult(name, points, points, "passed: 4 cases") for name, points in variant.points.items()}
    results["masking"] = CheckResult("masking", 2, 0, "[padding] it is <wrong>\nexpected 1\nlook there", mistake)
    write_verdict(notebook, Verdict(variant.name, tuple(results.values()), ("cell 3 was skipped",)))
    next(cell for cell in notebook.cells if cell.id == "solution").source = "my_own_work = 1"
    return notebook


def above_the_notebook(html: str) -> str:
    """What stands before the notebook's own cells."""
    return html[html.index("<main") : html.index('id="notebook"')]


def test_first_screen_says_what_went_wrong_whose_it_is_and_when_it_came():
    top = above_the_notebook(page_of(judged(), student="ada-17", handed_in="handed in 2026-10-01 21:59 UTC"))
    assert "ada-17" in top
    assert "2026-10-01 21:59 UTC" in top
    assert "mask-ignored" in top
    assert SENTENCES["mask-ignored"] in top
    for line in ("it is &lt;wrong&gt;", "expected 1", "look there", "cell 3 was skipped"):
        assert line in top
    assert "passed: 4 cases" in top
    assert "ada-17" not in above_the_notebook(page_of(judged(), student="bob"))


def test_first_screen_says_once_why_a_file_could_not_be_judged():
    notebook, variant = graded(text=""), VARIANTS["eager_causal"]
    notebook.metadata[BROKEN] = "the notebook is broken: no valid JSON <at> line 7"
    write_verdict(notebook, not_judged(variant, notebook.metadata[BROKEN]))
    top = above_the_notebook(page_of(notebook))
    assert top.count("no valid JSON &lt;at&gt; line 7") == 1


def test_messages_that_say_the_same_stand_there_once():
    notebook, variant = graded(text=""), VARIANTS["eager_causal"]
    write_verdict(notebook, not_judged(variant, "NotImplementedError: write your solution"))
    top = above_the_notebook(page_of(notebook))
    assert top.count("NotImplementedError: write your solution") == 1
    assert top.count("as above") == len(variant.points) - 1


def test_a_stub_is_said_to_be_one_once_whatever_case_it_was_asked():
    notebook, variant = graded(text=""), VARIANTS["eager_causal"]
    stub = "your function is not implemented yet\nexpected a tensor, got the untouched stub\nlook at the task above"
    checks = [CheckResult(name, points, 0, f"[case {name}] {stub}") for name, points in variant.points.items()]
    write_verdict(notebook, Verdict(variant.name, tuple(checks), ()))
    top = above_the_notebook(page_of(notebook))
    assert top.count("not implemented yet") == 1
    assert top.count("as above") == len(variant.points) - 1


def test_points_stand_above_and_in_no_cell():
    assert "<pre>1.0</pre>" not in page_of(judged())
    assert "Out[" not in page_of(judged())


def test_courses_own_text_is_folded_away_and_learners_work_is_not():
    html = page_of(judged())
    folded = "".join(re.findall(r"<details.*?</details>", html[html.index('id="notebook"') :], re.DOTALL))
    shown = re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)
    assert "Before you start" in folded
    assert "{{install}}" in folded
    assert "Before you start" not in shown
    for kept in ("my_own_work", 'name="test-values"', "it is &lt;wrong&gt;"):
        assert kept in shown
        assert kept not in folded


def test_page_asks_nothing_of_the_network_and_has_its_formulas_in_it():
    """They came from a server of MathJax's: without a network the page showed their source."""
    html = page_of(judged())
    assert not re.search(r"<script|<link|src=\"http|@import", html)
    assert "<math" in html
    assert "head_dim</mtext>" in html
    assert "frac{QK" not in html


def test_text_that_is_no_formula_stays():
    notebook = judged()
    notebook.cells.append(nbformat.v4.new_markdown_cell("it is $\\frac{$ or so, for $5"))
    assert "or so, for $5" in page_of(notebook)
