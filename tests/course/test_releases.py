"""The releases: what the sources generate, without answers, and where their links lead."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from attention_grading.authoring.release import FOR_ASSISTANTS, generate
from attention_grading.course_file import read_course
from attention_lab.notebook.learner_cells import SOLUTION_ID
from support.cells import cells_of
from support.places import MASTERS, RELEASES, ROOT, STEMS

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


def test_assistants_read_the_same_beside_the_notebooks_as_in_the_root():
    for name in FOR_ASSISTANTS:
        assert (ROOT / "release" / name).read_text() == (ROOT / name).read_text(), "run `make release`"
        assert name == "AGENTS.md" or (ROOT / name).read_text() == "@AGENTS.md\n"


def test_assistant_is_a_tutor_to_learners_and_contributors_are_sent_on():
    agents, prompt = (" ".join(path.read_text().split()) for path in (ROOT / "AGENTS.md", PROMPT))
    for rule in ("At most two sentences and one question per reply.", "Name no call of the solution."):
        assert rule in agents
        assert rule in prompt
    assert "`attention-lab tutor`" in agents
    assert "**With a contributor**" in agents
    assert "CONTRIBUTING.md" in agents


@pytest.mark.parametrize("stem", STEMS)
def test_release_links_are_absolute_and_the_courses_own_pinned(stem):
    course = tomllib.loads((ROOT / "course.toml").read_text())["course"]
    text = RELEASES[stem].read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 4
    assert all(link.startswith("https://") for link in links)
    own = [link for link in links if course["repository"] in link]
    assert len(own) >= 3
    assert all(course["tag"] in link for link in own)


def test_readme_opens_all_in_colab_at_the_courses_address():
    addresses = re.findall(r"https://colab[^)]+", (ROOT / "README.md").read_text())
    course = read_course(ROOT)
    assert addresses == [f"{course.colab}release/{stem}/{stem}.ipynb" for stem in STEMS], "run `make release`"
