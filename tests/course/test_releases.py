"""The releases: what the sources generate, without answers, and where their links lead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from attention_grading.authoring.for_students import FOR_ASSISTANTS, pages, readme_with_address
from attention_grading.authoring.release import generate
from attention_grading.course_file import read_course
from attention_lab.notebook.learner_cells import SOLUTION_ID
from support.cells import cells_of
from support.places import MASTERS, RELEASES, ROOT, STEMS
from support.releases import published

LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
PAGES = [str(path.relative_to(ROOT)) for folder in (".", "docs") for path in sorted((ROOT / folder).glob("*.md"))]

PROMPT = ROOT / "src" / "attention_lab" / "data" / "socratic_prompt.md"


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> dict[str, Path]:
    return dict(zip(STEMS, generate(ROOT, tmp_path_factory.mktemp("release") / "course"), strict=True))


@pytest.mark.nbgrader
@pytest.mark.parametrize("stem", STEMS)
def test_release_is_what_source_generates(generated, stem):
    assert RELEASES[stem].read_bytes() == generated[stem].read_bytes(), "run `make release`"


@pytest.mark.parametrize("stem", STEMS)
def test_release_holds_no_answers_and_no_placeholders(stem):
    text = RELEASES[stem].read_text()
    master = cells_of(MASTERS[stem])[SOLUTION_ID].source
    region = master.split("### BEGIN SOLUTION\n")[1].split("### END SOLUTION")[0]
    code = [line.strip() for line in region.split("\n") if line.strip() and not line.strip().startswith("#")]
    assert len(code) >= 3
    for line in code:
        if len(line) > 12 and line not in ("else:",):
            assert json.dumps(line)[1:-1] not in text, line
    for words in (PROMPT, ROOT / "AGENTS.md"):
        assert not [line for line in code if len(line) > 12 and line in words.read_text()]
    for hidden in ("BEGIN HIDDEN", "BEGIN SOLUTION", "attention_grading import", "{{"):
        assert hidden not in text
    assert "raise NotImplementedError" in text


def test_assistant_is_a_tutor_to_learners_and_contributors_are_sent_on():
    agents, prompt = (" ".join(path.read_text().split()) for path in (ROOT / "AGENTS.md", PROMPT))
    for rule in ("At most two sentences and one question per reply.", "Name no call of the solution."):
        assert rule in agents
        assert rule in prompt
    assert "`attention-lab tutor`" in agents
    assert "**With a contributor**" in agents
    assert "CONTRIBUTING.md" in agents
    for name in FOR_ASSISTANTS:
        assert name == "AGENTS.md" or (ROOT / name).read_text() == "@AGENTS.md\n"
        assert name == "AGENTS.md" or f"release/{name}" in pages(ROOT)


def links_of(path: Path) -> list[str]:
    """The addresses in a page, or in a notebook's text cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"\]\(([^)]+)\)", text)


def test_start_lessons_and_prompt_are_what_make_release_writes():
    for name, text in pages(ROOT).items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run `make release`"
    assert sorted(path.name for path in (ROOT / "release" / "lessons").iterdir()) == LESSONS


def test_start_leads_to_every_notebook_and_lesson():
    wanted = {f"{stem}/{stem}.ipynb" for stem in STEMS} | {f"lessons/{name}" for name in LESSONS}
    assert wanted <= set(links_of(ROOT / "release" / "START.md"))


@pytest.mark.skipif(read_course(ROOT).published is not None, reason="the course is published")
def test_unpublished_course_names_no_address_and_its_links_work_offline():
    places = [ROOT / "README.md", *(ROOT / "release").glob("*.md"), *(ROOT / "release").glob("[0-9l]*/*.ipynb")]
    assert len(places) == 1 + 6 + len(STEMS) + len(LESSONS)
    for path in places:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"colab\.research|git\+|/archive/refs/tags|/blob/v\d", text), path
        for link in (each for each in links_of(path) if not each.startswith("https://")):  # others' pages
            assert (path.parent / link).resolve().is_file(), f"{path.name}: {link}"
            if path.is_relative_to(ROOT / "release"):  # JupyterLab's root: it opens nothing beyond
                assert (path.parent / link).resolve().is_relative_to(ROOT / "release"), f"{path.name}: {link}"


@pytest.mark.nbgrader
def test_published_course_has_absolute_pinned_links_and_a_badge_in_each_notebook(tmp_path):
    course = published(tmp_path / "course")
    generated = generate(course, tmp_path / "generated")
    colab = "https://colab.research.google.com/github/a-fork/attention/blob/v9/release/"
    for stem, path in zip(STEMS, generated, strict=True):
        links = links_of(path)
        assert f"{colab}{stem}/{stem}.ipynb" in links
        assert all(link.startswith("https://") for link in links), links
        own = [link for link in links if "/a-fork/attention/" in link]
        assert len(own) >= 3
        assert all("/a-fork/attention/blob/v9/" in link for link in own), own
        assert "attention-lab @ https://github.com/a-fork/attention/archive/refs/tags/v9.zip" in path.read_text()
    texts = pages(course)
    assert set(links_of(ROOT / "release" / "START.md")) == set(re.findall(r"\]\(([^)]+)\)", texts["release/START.md"]))
    lesson = texts["release/lessons/L1_compare_the_variants.ipynb"]
    assert "https://github.com/a-fork/attention/blob/v9/release/lessons/L2_mask_explorer.ipynb" in lesson
    assert "archive/refs/tags/v9.zip" in lesson
    readme = readme_with_address((ROOT / "README.md").read_text(), read_course(course).published, STEMS)
    assert re.findall(r"https://colab[^)]+", readme) == [f"{colab}{stem}/{stem}.ipynb" for stem in STEMS]


def test_readme_says_of_colab_what_is_true_today():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("<!-- colab") == text.count("<!-- end of colab -->") == 1
    assert readme_with_address(text, read_course(ROOT).published, STEMS) == text, "run `make release`"


def test_every_path_that_the_readme_names_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    folders = "src|grading|source|release|notebooks|docs|tests|benchmarks"
    named = set(re.findall(rf"(?:[`\s])((?:{folders})/[\w./-]*)", text))
    assert len(named) >= 4
    for path in named:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_pages_lead_somewhere(page):
    for link in links_of(ROOT / page):
        assert link.startswith("https://") or ((ROOT / page).parent / link.partition("#")[0]).exists(), link
