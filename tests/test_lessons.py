"""The lessons 00, 07 and 08: they run from top to bottom, whatever is finished, and say what is so."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from solutions import CORPUS

from attention_grading.authoring.release import pin_addresses
from attention_grading.course_file import read_course
from attention_lab.compare import functions as compare_functions
from attention_lab.compare import measure, recorded, waste
from attention_lab.compare.curves import Point
from attention_lab.compare.measure import Cost, cost_figure, cost_of
from attention_lab.maps.steps import steps_figure
from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[1]
LESSONS = {path.stem[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
RIGHT = {name: next(a.source for a in CORPUS if a.variant == name and a.right) for name in VARIANTS}
SECONDS = 60  # that lesson 07 may take on two cores


def execute(lesson: str, **cells: str) -> dict[str, str]:
    """Run a lesson with some cells replaced; returns what each cell shows as text."""
    notebook = nbformat.read(LESSONS[lesson], as_version=4)
    for cell in notebook.cells:
        cell.source = cells.get(cell.id, cell.source)
    resources = {"metadata": {"path": str(LESSONS[lesson].parent)}}
    NotebookClient(notebook, timeout=SECONDS, resources=resources).execute()
    return {cell.id: "\n".join(map(shown, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"}


def shown(output: nbformat.NotebookNode) -> str:
    """An output as text; a picture as its alternative text, marked as a picture."""
    data = output.get("data", {})
    mark = "picture: " if "image/png" in data else ""
    return mark + data.get("text/plain", output.get("text", ""))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder of releases in which some functions are written."""

    def folder(**sources: str) -> Path:
        for variant in VARIANTS.values():
            notebook = json.loads((ROOT / "release" / variant.stem / f"{variant.stem}.ipynb").read_text())
            for cell in notebook["cells"]:
                if cell["id"] == "solution" and variant.name in sources:
                    cell["source"] = sources[variant.name]
            (tmp_path / variant.stem).mkdir()
            (tmp_path / variant.stem / f"{variant.stem}.ipynb").write_text(json.dumps(notebook))
        return tmp_path

    return folder


# ---- all lessons -----------------------------------------------------------------------------------------------------


def test_there_are_the_three_lessons():
    assert list(LESSONS) == ["00", "07", "08"]


@pytest.mark.parametrize("lesson", LESSONS)
def test_cells_are_short(lesson):
    for cell in nbformat.read(LESSONS[lesson], as_version=4).cells:
        if cell.cell_type == "code":
            assert len([line for line in cell.source.split("\n") if line.strip()]) <= 15, cell.id
        else:
            prose = re.sub(r"```.*?```", "", cell.source, flags=re.S)
            assert len(prose.split()) <= (160 if "<details>" in prose else 120), cell.id


@pytest.mark.parametrize("lesson", LESSONS)
def test_links_lead_to_files_of_the_course(lesson):
    text = "\n".join(cell.source for cell in nbformat.read(LESSONS[lesson], as_version=4).cells)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        assert (LESSONS[lesson].parent / link).is_file(), link


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_kit_is_installed_from_the_courses_address(lesson):
    (setup,) = [cell for cell in nbformat.read(LESSONS[lesson], as_version=4).cells if cell.id == "setup"]
    addresses = re.findall(r'"(attention-lab @ [^"]+)"', setup.source)
    assert addresses == [read_course(ROOT).kit], "run `make release`"


def test_a_fork_s_address_goes_into_the_lessons(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    fields = (ROOT / "course.toml").read_text().replace("v0.1.0", "v9.9.9").replace("attention-six-ways/", "a-fork/")
    (tmp_path / "course.toml").write_text(fields)
    (tmp_path / "README.md").touch()
    assert [path.stem[:2] for path in pin_addresses(tmp_path)] == list(LESSONS)
    assert pin_addresses(tmp_path) == []
    for path in LESSONS.values():
        before, after = path.read_text(), (tmp_path / "notebooks" / path.name).read_text()
        assert before.replace(read_course(ROOT).kit, read_course(tmp_path).kit) == after != before


# ---- 00 and 08 -------------------------------------------------------------------------------------------------------


def test_lesson_00_shows_numbers_that_can_be_checked_by_eye():
    cells = execute("00")
    assert "chase  [0, 1, 0, 1]  sum 2" in cells["dot-products"]
    assert re.search(r"mice +exp 20\.1 +weight 0\.67 +█{27}", cells["weights"])
    assert cells["after-softmax"].strip().endswith("sum 0.33")
    assert cells["before-softmax"].strip() == "[0.73, 0.27, 0.0] sum 1.00"
    assert "mice   [0.42, 0.16, 0.42]  sum 1.00" in cells["causal-weights"]
    for name in ("causal-picture", "padding-picture"):
        assert cells[name].startswith("picture: From scores to weights. 3 of 9 cells are masked")


def test_steps_say_why_a_cell_is_masked():
    visible = [[True, False, False], [True, True, False], [True, True, False]]
    figure = steps_figure(["a", "b", "<pad>"], [[0.0] * 3] * 3, visible, [[0.0] * 3] * 3)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.split(":")[0] for label in labels] == ["causal", "padding", "pale"]


def test_lesson_08_shows_the_explorer_and_its_pictures():
    cells = execute("08", explorer='explorer = explore()\nexplorer.controls["head"].value = 2\nexplorer')
    assert cells["explorer"].startswith("Explorer(")
    assert cells["explorer-picture"].startswith("picture: Sentence 2 of 2: head 2, causal")
    assert cells["packed-picture"].startswith("picture: Padded and packed: head 2, causal")


# ---- 07 --------------------------------------------------------------------------------------------------------------


def test_lesson_07_names_all_six_stubs_and_runs_to_the_end():
    cells = execute("07")
    for variant in VARIANTS.values():
        assert f"left out: not written yet; it waits in {variant.stem}.ipynb" in cells["load"]
    assert cells["agree"].startswith("Nothing to compare yet")
    assert cells["waste"].split("\n")[-1].startswith("picture: What padding wastes.")
    assert cells["ragged"].strip().endswith(measure.NOTHING)
    assert cells["cost-cpu"].strip() == measure.NOTHING


def test_lesson_07_compares_all_six_within_its_time(folder):
    start = time.perf_counter()
    cells = execute("07", folder=f"folder = {str(folder(**RIGHT))!r}")
    print(f"lesson 07 with six functions: {time.perf_counter() - start:.0f} s")
    assert cells["load"].count("loaded") == 6
    assert cells["agree"].count("differ by at most") == 6
    assert "All of it is rounding" in cells["agree"]
    assert cells["ragged"].count(" MB") == 6
    assert cells["cost-cpu"].startswith("picture: Time and memory of your functions on this CPU. At 512 tokens:")
    assert "flash causal" in cells["cost-cpu"]


def test_lesson_07_goes_on_with_what_is_finished_and_names_what_is_broken(folder):
    head = "def NAME(q, k, v, num_heads, head_dim, mask=None):\n"
    broken = {
        "sdpa_causal": head.replace("NAME", "sdpa_causal_attention") + "    return q @ k",
        "eager_causal": head.replace("NAME", "eager_causal_attention") + "    return q[:, :1]",
        # right on small batches alone
        "sdpa_bidirectional": RIGHT["sdpa_bidirectional"].replace(
            "mask=None):", "mask=None):\n    assert q.shape[1] < 128", 1
        ),
    }
    places = folder(eager_bidirectional=RIGHT["eager_bidirectional"], **broken)
    cells = execute("07", folder=f"folder = {str(places)!r}")
    assert re.search(r"sdpa_causal +left out: it stops with RuntimeError: .*run its checks", cells["load"])
    assert re.search(r"eager_causal +left out: it returns \(2, 1, 24\), not \(2, 3, 24\)", cells["load"])
    assert cells["load"].count("not written yet") == 2
    assert cells["agree"].count("differ by at most") == 1
    assert "sdpa_bidirectional stops at 128 tokens on cpu: AssertionError" in cells["cost-cpu"]
    assert "picture: Time and memory" in cells["cost-cpu"]


# ---- loading and comparing -------------------------------------------------------------------------------------------


def test_notebooks_are_found_in_folders_of_their_own_and_side_by_side(folder, tmp_path):
    places = folder(**RIGHT)
    assert list(compare_functions.load_functions(places).functions) == list(VARIANTS)
    stem = VARIANTS["flash_causal"].stem
    (places / stem / f"{stem}.ipynb").rename(places / f"{stem}.ipynb")
    assert "flash_causal" in compare_functions.load_functions(places).functions
    (places / f"{stem}.ipynb").unlink()
    assert compare_functions.load_functions(places).left_out == {"flash_causal": f"{stem}.ipynb is not in {places}"}


def test_paired_batches_hold_the_same_numbers():
    padded, packed = compare_functions.paired_batches((2, 5, 0, 3))
    assert torch.equal(padded.q[padded.mask], packed.q.float())
    assert packed.cu_seqlens.tolist() == [0, 2, 7, 7, 10]
    assert (packed.max_seqlen, padded.seq) == (5, 5)


def test_a_function_that_differs_by_more_than_rounding_is_named(folder):
    functions = dict(compare_functions.load_functions(folder(**RIGHT)).functions)
    assert "All of it is rounding" in compare_functions.agreement(functions)
    right = functions["sdpa_causal"]
    functions["sdpa_causal"] = lambda **arguments: 1.001 * right(**arguments)
    words = compare_functions.agreement(functions)
    assert words.endswith("Run their notebooks' checks.")
    assert "More than rounding: eager_causal and sdpa_causal" in words
    functions["sdpa_causal"] = lambda **arguments: torch.full_like(arguments["q"], torch.nan)
    assert "eager_causal and sdpa_causal; sdpa_causal and flash_causal" in compare_functions.agreement(functions)


# ---- waste and costs -------------------------------------------------------------------------------------------------


def test_waste_is_counted():
    counted = waste.Waste((2, 4), hidden_dim=8)
    assert (counted.padded_tokens, counted.packed_tokens) == (8, 6)
    assert (counted.padded_flops, counted.packed_flops) == (4 * 8 * 32, 4 * 8 * 20)
    assert str(counted).endswith("Padding wastes 25% of the tokens and 38% of the operations.")


def test_lengths_are_ragged_and_hold_the_longest():
    lengths = waste.ragged_lengths(batch=16, longest=256)
    assert len(lengths) == 16
    assert max(lengths) == 256
    assert min(lengths) >= 1
    assert sorted(lengths)[8] < 128


def test_peak_memory_counts_what_lives_at_once():
    x = torch.zeros(1000, 250)  # 1 MB

    def two_at_once():
        y = x + 1
        y = y.view(500, 500) * 2  # a view holds no memory of its own; y + 1 dies after the product
        return (y * 3).sum()

    assert cost_of(two_at_once).peak_mb == pytest.approx(2.0, abs=0.01)
    assert cost_of(lambda: x.add_(1)).peak_mb == 0.0


def test_memory_of_eager_attention_grows_with_the_square_of_the_length(folder):
    functions = compare_functions.load_functions(folder(**RIGHT)).functions
    costs = measure.measure({"eager_causal": functions["eager_causal"]}, lengths=(64, 256))["eager_causal"]
    scores = 2 * 4 * 256 * 256 * 4 / 1e6  # [batch, num_heads, seq, seq] in fp32
    assert costs[256].peak_mb > 2 * scores
    assert costs[256].peak_mb / costs[64].peak_mb > 10
    assert costs[256].ms_low <= costs[256].ms <= costs[256].ms_high


def test_costs_are_drawn_and_said():
    costs = {
        "eager_causal": {64: Cost(1, 0.9, 1.2, 2), 128: Cost(4, 3.5, 5, 8610.4)},
        "flash_causal": {64: Cost(2, 2, 2, 1)},
    }
    figure = cost_figure(costs, "this CPU")
    times, memory = figure.axes
    assert [tuple(line.get_ydata()) for line in times.lines] == [(1, 4), (2,)]
    assert [tuple(line.get_ydata()) for line in memory.lines] == [(2, 8610.4), (1,)]
    assert "At 128 tokens: eager causal 4 ms" in figure.caption
    assert "Memory: eager causal 8,610 MB" in figure.caption
    with pytest.raises(ValueError, match="no function was measured"):
        cost_figure({}, "this CPU")


# ---- recorded figures ------------------------------------------------------------------------------------------------


def record() -> dict:
    """Rows of an invented machine, in the form of ``data/kernels.json``."""
    rows = []
    for kernel, factor in (("eager", 8.0), ("sdpa", 1.5), ("flash-attn", 1.0)):
        for seq in (512, 1024, 2048):
            for padding in (0.0, 0.5) if seq == 1024 else (0.0,):
                for passes in ("forward", "forward+backward"):
                    ms = factor * seq / 512 * ({"flash-attn": 0.25, "sdpa": 2.0}.get(kernel, 1.0) if padding else 1.0)
                    row = {"kernel": kernel, "pass": passes, "causal": False, "head_dim": 128, "seq": seq}
                    row |= {"batch": 4096 // seq, "padding": padding, "ms": ms, "ms_low": ms, "ms_high": ms}
                    rows.append(row | {"tflops": 1.0, "peak_mb": seq if kernel == "eager" else 64.0})
    # another head_dim, of which less was recorded, stays out
    rows.insert(0, rows[0] | {"head_dim": 64, "ms": 1000.0, "ms_high": 1000.0})
    return {"machine": "Invented GPU", "versions": {"torch": "9.9"}, "rows": rows}


def test_recorded_figures_answer_the_four_questions():
    figure = recorded.recorded_figure(record())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["how time grows", "how memory grows", "what padding costs", "when SDPA is enough"]
    assert "Time, from 512 to 2048 tokens a sequence: eager × 4, sdpa × 4, flash-attn × 4." in figure.caption
    assert "Memory: eager × 4, sdpa × 1, flash-attn × 1." in figure.caption
    assert "12 times with 1024 tokens, 50% padding" in figure.caption
    assert "4,096 tokens in every batch, head_dim 128; torch 9.9." in figure.caption
    assert len(figure.axes[3].patches) == 4


def test_recorded_figures_stand_gaps():
    gaps = record()
    gaps["rows"] = [row for row in gaps["rows"] if not (row["kernel"] == "eager" and row["seq"] == 2048)]
    assert "from 512 to 1024 tokens a sequence: eager × 2" in recorded.recorded_figure(gaps).caption
    gaps["rows"] = [row for row in gaps["rows"] if row["padding"] == 0 and row["kernel"] != "flash-attn"]
    assert "packed kernel" not in recorded.recorded_figure(gaps).caption
    with pytest.raises(ValueError, match="nothing was recorded for forward, causal True"):
        recorded.recorded_figure(gaps, causal=True)


def test_recorded_data_of_the_kit_can_be_drawn():
    data = recorded.read_recorded()
    if data is None:
        assert recorded.NOTHING_RECORDED.count(".") == 2  # one sentence, with a file's name
        return
    for passes in ("forward", "forward+backward"):
        for causal in (False, True):
            assert data["machine"] in recorded.recorded_figure(data, passes, causal).caption


def test_points_are_sorted_by_length():
    shuffled = record()
    shuffled["rows"].reverse()
    (line, *_) = recorded.recorded_figure(shuffled).axes[0].lines
    assert list(line.get_xdata()) == sorted(line.get_xdata())
    assert Point(1, 2, 3, 4) < Point(2, 0, 0, 0)
