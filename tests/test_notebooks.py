"""The six notebooks: anatomy, normal form, releases, and what they show when they run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from attention_grading.authoring.normalise import normal_text, notebooks_in
from attention_grading.authoring.release import generate, pin_addresses
from attention_grading.course_file import read_course
from attention_grading.judging.verdict import POINTS
from attention_grading.notebooks.grade import show_outputs
from attention_lab.notebook.learner_cells import GRADED_IDS, HAND_IN_ID, INSTRUCTOR_IDS, SOLUTION_ID
from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[1]
STEMS = [variant.stem for variant in VARIANTS.values()]
MASTERS = {stem: ROOT / "source" / stem / f"{stem}.ipynb" for stem in STEMS}
RELEASES = {stem: ROOT / "release" / stem / f"{stem}.ipynb" for stem in STEMS}
HIDDEN = ("values", "masking", "robustness", "kernel")


def cells_of(path: Path) -> dict[str, nbformat.NotebookNode]:
    return {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}


def executed(path: Path, *, allow_errors: bool) -> dict[str, nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=120, allow_errors=allow_errors, resources=resources).execute()
    return {cell.id: cell for cell in notebook.cells}


def seconds(cell: nbformat.NotebookNode) -> float:
    times = cell.metadata.execution
    start, end = (datetime.fromisoformat(times[key]) for key in ("iopub.execute_input", "shell.execute_reply"))
    return (end - start).total_seconds()


def pictures(cell: nbformat.NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def stdout(cell: nbformat.NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def test_all_six_have_the_same_cells_in_the_same_order():
    anatomies = {
        stem: [(cell.id, cell.cell_type) for cell in cells_of(path).values()] for stem, path in MASTERS.items()
    }
    assert all(anatomy == anatomies[STEMS[0]] for anatomy in anatomies.values())


@pytest.mark.parametrize("stem", STEMS)
def test_points_are_the_contracts(stem):
    graded = {
        cell_id.removeprefix("test-"): cell.metadata.nbgrader.points
        for cell_id, cell in cells_of(MASTERS[stem]).items()
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    assert graded == POINTS


@pytest.mark.parametrize("stem", STEMS)
def test_instructors_code_cells_are_those_that_the_judge_leaves_out(stem):
    locked = {
        cell_id
        for cell_id, cell in cells_of(MASTERS[stem]).items()
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("locked")
    }
    assert locked == INSTRUCTOR_IDS
    assert SOLUTION_ID in cells_of(MASTERS[stem])


@pytest.mark.parametrize("path", notebooks_in([ROOT / "source", ROOT / "notebooks"]), ids=lambda path: path.stem)
def test_notebook_is_normalised(path):
    text = path.read_text(encoding="utf-8")
    assert normal_text(nbformat.reads(text, as_version=4)) == text, "run `make normalise`"


def test_normaliser_sees_outputs_counts_and_foreign_ids():
    notebook = nbformat.read(MASTERS[STEMS[0]], as_version=4)
    normal = normal_text(notebook)
    for spoil in (
        lambda cell: cell.update(execution_count=3),
        lambda cell: cell.update(id="other"),
        lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", text="x")),
        lambda cell: cell.metadata.update(collapsed=True),
    ):
        spoiled = nbformat.reads(normal, as_version=4)
        spoil(next(cell for cell in spoiled.cells if cell.id == "setup"))
        assert nbformat.writes(spoiled) != normal.rstrip("\n")
        assert normal_text(spoiled) == normal


def test_code_cells_are_short():
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "code" and cell_id != SOLUTION_ID:
                lines = [line for line in cell.source.split("\n") if line.strip()]
                assert len(lines) <= 15, f"{stem}, {cell_id}: {len(lines)} lines"


def test_text_cells_are_short():
    for stem, path in MASTERS.items():
        for cell_id, cell in cells_of(path).items():
            if cell.cell_type == "markdown":
                assert len(cell.source.split()) <= 120, f"{stem}, {cell_id}: {len(cell.source.split())} words"


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> dict[str, Path]:
    return dict(zip(STEMS, generate(ROOT, tmp_path_factory.mktemp("release") / "course"), strict=True))


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
    for words in (ROOT / "socratic_prompt.md", ROOT / "release" / "AGENTS.md"):
        assert not [line for line in code if len(line) > 12 and line in words.read_text()]
    for hidden in ("BEGIN HIDDEN", "BEGIN SOLUTION", "attention_grading import", "{{"):
        assert hidden not in text
    assert "raise NotImplementedError" in text


@pytest.mark.parametrize("stem", STEMS)
def test_release_links_are_absolute_and_pinned(stem):
    tag = tomllib.loads((ROOT / "course.toml").read_text())["course"]["tag"]
    text = RELEASES[stem].read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) >= 4
    for link in links:
        assert link.startswith("https://")
        assert tag in link


@pytest.mark.parametrize("stem", STEMS)
def test_source_runs_from_top_to_bottom_and_draws_both_heatmaps(stem):
    cells = executed(MASTERS[stem], allow_errors=False)
    assert pictures(cells["mask-picture"]) >= 1
    assert pictures(cells["attention-map"]) == 1
    assert "No weight falls on a masked key." in cells["attention-map"].outputs[0]["data"]["text/plain"]
    for name in HIDDEN:
        *_, last = cells[f"test-{name}"].outputs
        assert float(last["data"]["text/plain"]) == POINTS[name]
    assert "Ready to hand in" in stdout(cells["hand-in"])
    times = {name: round(seconds(cells[name]), 2) for name in ("setup", "test-contract", "test-invariants")}
    print(f"{stem}: seconds {times}")


@pytest.mark.parametrize("stem", STEMS)
def test_release_runs_to_the_end_with_the_stub_and_fails_in_three_lines(stem):
    cells = executed(RELEASES[stem], allow_errors=False)  # its tags let Run All reach the end
    assert pictures(cells["mask-picture"]) >= 1
    for name in ("test-contract", "test-invariants"):
        (output,) = [output for output in cells[name].outputs if output.output_type == "error"]
        assert output.ename == "CheckFailed"
        assert len(output.traceback) == 3
        assert "not implemented yet" in output.traceback[0]
    assert "is still the untouched stub" in stdout(cells["hand-in"])


def test_grader_runs_neither_the_graded_cells_nor_the_look_at_the_learners_file():
    notebook = nbformat.read(MASTERS[STEMS[0]], as_version=4)
    ran = []

    def show(sources):
        ran.extend(sources)
        return SimpleNamespace(outputs=[[] for _ in sources], ended=None)

    assert show_outputs(notebook, SimpleNamespace(show=show)) == []
    cells = cells_of(MASTERS[STEMS[0]])
    left_out = {cell_id for cell_id, cell in cells.items() if cell.cell_type == "code" and cell.source not in ran}
    assert left_out == {HAND_IN_ID, *GRADED_IDS}


def test_readme_opens_all_six_in_colab_at_the_courses_address():
    addresses = re.findall(r"https://colab[^)]+", (ROOT / "README.md").read_text())
    course = read_course(ROOT)
    assert addresses == [f"{course.colab}release/{stem}/{stem}.ipynb" for stem in STEMS], "run `make release`"


def test_forks_address_goes_into_the_readme(tmp_path):
    (tmp_path / "course.toml").write_text('[course]\nname = "x"\nrepository = "fork/attention"\ntag = "v9"\n')
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    assert pin_addresses(tmp_path) == [tmp_path / "README.md"]
    text = (tmp_path / "README.md").read_text()
    assert text.count("https://colab.research.google.com/github/fork/attention/blob/v9/release/0") == 6
    assert text.count("https://colab") == 6
    assert pin_addresses(tmp_path) == []


def test_release_refuses_to_overwrite_work(tmp_path):
    repository = tmp_path / "course"
    (repository / "release" / "a").mkdir(parents=True)
    notebook = repository / "release" / "a" / "a.ipynb"
    notebook.write_text("{}\n")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "release"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    notebook.write_text('{"work": "of hours"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "attention_grading.authoring.release"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "release/a/a.ipynb" in done.stderr
    assert "FORCE=1" in done.stderr
    assert "of hours" in notebook.read_text()


def test_conda_environments_hold_what_the_packages_declare():
    kit = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    grading = tomllib.loads((ROOT / "grading" / "pyproject.toml").read_text())["project"]
    extras = (*kit["optional-dependencies"]["notebook"], *grading["optional-dependencies"]["class"])
    declared = [*kit["dependencies"], *grading["dependencies"], *extras]
    named = {split(text)[0] for text in declared if split(text)[1]}  # torch: in both, in one of them with a version
    declared = [text for text in declared if split(text)[1] or split(text)[0] not in named]
    wanted = {split(text) for text in declared if not text.startswith("attention-lab")}
    for name, extra in (("environment.yml", "flash-attn"), ("environment-cpu.yml", None)):
        fields = yaml.safe_load((ROOT / name).read_text())
        plain = [text for text in fields["dependencies"] if isinstance(text, str)]
        (nested,) = [item["pip"] for item in fields["dependencies"] if isinstance(item, dict)]
        have = {split(re.sub(r"^pytorch(-gpu|-cpu)?", "torch", text)) for text in (*plain, *nested)}
        assert wanted <= have, name
        assert (extra is None) == ("flash-attn" not in {package for package, _ in have})
        assert {"--editable .", "--editable grading[class]"} <= set(nested)
        python = next(text for text in plain if text.startswith("python="))
        assert python.removeprefix("python=") >= "3.11"


def split(requirement: str) -> tuple[str, str]:
    match = re.match(r"([\w-]+)(.*)", requirement)
    return match.group(1), match.group(2)
