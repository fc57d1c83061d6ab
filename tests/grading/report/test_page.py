"""The class report's page: names only where they belong, readable anywhere."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date

import pytest

from attention_grading.judging.diagnosis.names import SENTENCES
from attention_grading.notebooks.verdict_cells import Finding
from attention_grading.report.figures import AssignmentFigures, ClassReport, Problem, mistake_figures, nameless_figures
from attention_grading.report.page import page
from attention_grading.report.same_answers import SameAnswers


def small_report(**changes: object) -> ClassReport:
    one = AssignmentFigures("a", 2, 0, 0, (), (), 5.0, 5.0, 1, 10.0, (1, *[0] * 9, 1), {"values": (1, 2)})
    fields = {
        "title": "C",
        "day": date(2026, 10, 1),
        "students": 2,
        "assignments": (one,),
        "mistakes": mistake_figures([Finding("person-7f3a", "a", ("missing-scale",))]),
        "nameless": (),
        "problems": (Problem("person-7f3a", "a", "it said <script>alert(1)</script>"),),
    }
    return ClassReport(**(fields | changes))


def test_names_stand_only_with_what_to_look_at_and_text_is_escaped():
    text = page(small_report(title="A <b>course</b>"))
    before, after = text.split("Submissions to look at")
    problems, by_mistake = after.split("Students by mistake")
    assert "person-7f3a" not in before
    assert "person-7f3a" in problems
    assert "person-7f3a" in by_mistake
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<b>" not in text
    assert "person-7f3a" not in page(small_report(anonymous=True))


def test_empty_parts_say_so():
    text = page(small_report(mistakes=(), problems=()))
    assert "No mistake was recognised." in text
    assert "Nothing handed in" not in text
    assert "Failures without a name" not in text
    assert "Students by mistake" not in text
    assert text.rstrip().endswith("<p>None.</p>\n</body>\n</html>")


def test_what_one_student_did_is_not_taught_to_the_class_again():
    found = [Finding("ada", "a", ("missing-scale", "mask-ignored")), Finding("bob", "a", ("mask-ignored",))]
    taught = page(small_report(mistakes=mistake_figures(found))).split("What to teach again")[1].split("Assignments")[0]
    assert SENTENCES["mask-ignored"][1:] in taught
    assert SENTENCES["missing-scale"][1:] not in taught
    alone = page(small_report(mistakes=mistake_figures(found[:1])))
    assert "No mistake was made by more than one student." in alone


def test_who_is_missing_is_named_and_who_handed_in_something_else_stands_apart():
    one = small_report().assignments[0]
    few = replace(one, missing=("Ada <A> (s1)",), aside=(("Bob Baker (s2)", "x.zip/<essay>.pdf: is not a notebook"),))
    many = replace(one, name="b", missing=tuple(f"N{number}" for number in range(30)))
    text = page(small_report(assignments=(few, many)))
    part = text.split("<h2>Nothing handed in")[1]
    assert "Ada &lt;A&gt; (s1)" in part
    assert re.search(r"<details>\s*<summary>30 students</summary>.*N0, N1,.*N29", part, re.DOTALL)
    assert part.count("<details>") == 1
    other = part.split("Something else handed in")[1]
    assert re.search(r"Bob Baker \(s2\).*x.zip/&lt;essay&gt;.pdf: is not a notebook", other, re.DOTALL)
    nobody = page(small_report(assignments=(few, many), anonymous=True))
    for name in ("Ada", "Bob", "N0", "essay"):
        assert name not in nobody


def test_a_mistake_leads_to_its_students():
    found = [
        Finding("ada", "a", ("missing-scale",), unnamed={"values": "it is <wrong>"}),
        Finding("bob", "b", ("missing-scale",)),
    ]
    text = page(small_report(mistakes=mistake_figures(found), nameless=nameless_figures(found)))
    for target in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{target}"' in text
    assert text.count('href="#') == 2
    by_mistake = text.split("Students by mistake")[1]
    assert re.search(r"missing-scale.*a:\s*ada.*b:\s*bob.*it is &lt;wrong&gt;.*a:\s*ada", by_mistake, re.DOTALL)
    assert 'href="#' not in page(small_report(mistakes=mistake_figures(found), anonymous=True))


def test_same_answers_are_listed_where_somebody_asked():
    assert "Answers that are the same" not in page(small_report())
    assert "None." in page(small_report(same_answers=())).split("Answers that are the same")[1]
    text = page(small_report(same_answers=(SameAnswers("a", ("ada", "<bob>"), 8),))).split("Answers that are the same")[
        1
    ]
    assert "accuses nobody" in text
    assert "ada, &lt;bob&gt;" in text


def test_bars_have_a_scale_that_all_of_a_kind_share():
    few = small_report().assignments[0]
    many = replace(few, name="b", graded=40, histogram=(0, *[4] * 10))
    text = page(small_report(assignments=(few, many)))
    figures = re.findall(r"<svg viewBox.*?</svg>", text, re.DOTALL)
    ticks = [re.findall(r'class="tick"[^>]*>(\d+)<', figure) for figure in figures]
    assert ticks == [["0", "2", "4"]] * 2
    heights = [max(map(float, re.findall(r'class="bar"[^>]*height="([0-9.]+)"', figure))) for figure in figures]
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.01)
    assert "A full bar is the whole class" in text


@pytest.mark.browser
@pytest.mark.needs("chromium")
def test_charts_stay_with_their_titles_in_print(tmp_path):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    path.write_text(page(small_report(assignments=tuple(small_report().assignments * 6))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        view = browser.new_page()
        view.goto(path.as_uri())
        view.emulate_media(media="print")
        style = "what => getComputedStyle(document.querySelector(what))"
        assert view.evaluate(f"({style})('.panel').breakInside") == "avoid"
        assert view.evaluate(f"({style})('tr').breakInside") == "avoid"
        assert view.evaluate(f"({style})('h2').breakAfter") == "avoid"
        assert view.evaluate(f"({style})('.wide').overflowX") == "visible"
        browser.close()


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.mark.browser
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_readable_in_both_themes_and_on_a_phone(tmp_path, scheme):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    names = tuple(small_report().assignments * 6)
    path.write_text(page(small_report(assignments=names)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        view = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        asked: list[str] = []
        view.on("request", lambda request: asked.append(request.url))
        view.goto(path.as_uri())
        assert asked == [path.as_uri()]
        assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert view.evaluate("[...document.querySelectorAll('svg')].every(each => each.getAttribute('aria-label'))")
        for what, least in (("p.about", 4.5), ("h1", 7), ("td", 7)):
            assert view.evaluate(CONTRAST, what) >= least, what
        browser.close()


# WCAG's contrast of an element's text with the page
CONTRAST = """what => {
  const light = color => { const part = color.match(/[0-9.]+/g).slice(0, 3).map(value => {
    const v = value / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2] };
  const text = light(getComputedStyle(document.querySelector(what)).color);
  const back = light(getComputedStyle(document.body).backgroundColor);
  return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05) }"""
