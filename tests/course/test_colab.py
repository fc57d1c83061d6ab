"""The releases as Colab runs them: its versions, the notebook, the kit's wheel, and nothing else of this course.

The environment is built from PyPI at the first run and kept in ``build/colab/``. Python and PyTorch are not Colab's:
they are those of the interpreter that runs the tests, PyTorch by links, or of the one that ``COLAB_PYTHON`` names.
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from packaging.requirements import Requirement

from attention_grading.course_file import CourseFile, Published, fill_placeholders
from attention_lab.notebook.learner_cells import SOLUTION_ID
from attention_lab.variants import VARIANTS
from support.cells import failed, pictures, seconds
from support.places import ROOT, STEMS

NOTEBOOKS = sorted((ROOT / "release").glob("[0-9]*/*.ipynb")) + sorted((ROOT / "release" / "lessons").glob("*.ipynb"))

# Colab's image of August 2026. ipywidgets comes without its dependency on a notebook server: Colab's page is not one
PINS = ("ipython==7.34.0", "ipykernel==6.17.1", "matplotlib==3.10.*", "numpy==2.1.*")
BARE_PINS = ("ipywidgets==7.7.1", "ipython-genutils==0.2.0", "jupyterlab-widgets==3.0.*", "widgetsnbextension==3.6.*")


def installed(site: Path) -> dict[str, importlib.metadata.Distribution]:
    found = importlib.metadata.Distribution.discover(path=[str(site)])
    return {re.sub(r"[-_.]+", "-", dist.metadata["Name"]).lower(): dist for dist in found}


def link_torch(site: Path, folder: Path) -> None:
    """Link PyTorch and what it needs, package by package, out of an environment."""
    there, wanted, seen = installed(site), ["torch"], set()
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in seen or name not in there or name in ("numpy", "setuptools"):
            continue
        seen.add(name)
        requirements = [Requirement(text) for text in there[name].requires or ()]
        # a marker may name an extra; those of CUDA are wanted (their packages are there or are passed over)
        wanted += [needed.name for needed in requirements if "extra ==" not in str(needed.marker or "")]
        wanted += [other for other in there if name == "torch" and other.startswith("nvidia-")]
        tops = {path.parts[0] for path in there[name].files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(site / top)


def build(place: Path, interpreter: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    run(interpreter, "-m", "venv", place / "venv")
    python = place / "venv" / "bin" / "python"
    linked = place / "torch"
    linked.mkdir()
    where = "import torch, pathlib; print(pathlib.Path(torch.__file__).parents[1])"
    link_torch(Path(run(interpreter, "-c", where).strip()), linked)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "torch.pth").write_text(f"{linked}\n")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, *PINS)
    run(*pip, "--no-deps", *BARE_PINS)
    (place / "ready").touch()


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """Colab's Python; one test process at a time uses it."""
    interpreter = os.environ.get("COLAB_PYTHON", sys.executable)
    version = run(interpreter, "-c", "import sys, torch; print(sys.version, torch.__version__, torch.__file__)")
    key = hashlib.sha256(json.dumps([PINS, BARE_PINS, version]).encode()).hexdigest()[:12]
    place = ROOT / "build" / "colab" / key
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            try:
                build(place, interpreter)
            except AssertionError as error:
                if "No matching distribution" not in str(error):
                    raise
                pytest.skip("needs PyPI, to build an environment with Colab's versions")
        yield place / "venv" / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit's wheel."""
    return wheel_of(ROOT, tmp_path_factory.mktemp("kit"))


def wheel_of(project: Path, copy: Path) -> Path:
    """A package's wheel, built from a copy so that no earlier build's leftovers get in."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (project / name).exists():
            shutil.copy(project / name, copy)
    shutil.copytree(project / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", copy / "dist")
    run(sys.executable, "-m", "pip", "wheel", *options, copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture
def runtime(python: Path, tmp_path: Path) -> Path:
    """A folder as Colab's /content, on a machine that never had the kit."""
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "attention-lab")
    spec = tmp_path / "kernels" / "colab"
    spec.mkdir(parents=True)
    kernel = {
        "argv": [str(python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
        # no index: with the wheel beside the notebook nothing is fetched
        "env": {"PYTHONPATH": "", "PYTHONNOUSERSITE": "1", "PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1"},
    }
    (spec / "kernel.json").write_text(json.dumps(kernel))
    content = tmp_path / "content"
    content.mkdir()
    return content


def execute(notebook: nbformat.NotebookNode, content: Path, *, allow_errors: bool = False) -> dict:
    specs = KernelSpecManager(kernel_dirs=[str(content.parent / "kernels")], ensure_native_kernel=False)
    manager = AsyncKernelManager(kernel_name="colab", kernel_spec_manager=specs)
    resources = {"metadata": {"path": str(content)}}
    NotebookClient(notebook, km=manager, timeout=120, allow_errors=allow_errors, resources=resources).execute()
    return {cell.id: cell for cell in notebook.cells}


def packages(python: Path) -> dict[str, str]:
    """Version of each package that this Python sees."""
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    return json.loads(run(python, "-c", code, PYTHONNOUSERSITE="1"))


def text_of(cell: nbformat.NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def released(stem: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "release" / stem / f"{stem}.ipynb", as_version=4)


def with_address(stem: str, address: str) -> nbformat.NotebookNode:
    """The notebook as a published course releases it, with its archive at this address."""
    course = CourseFile("A course", Published("a-fork/attention", "v9"))
    notebook = nbformat.read(ROOT / "source" / stem / f"{stem}.ipynb", as_version=4)
    for cell in fill_placeholders(notebook, stem, course).cells:
        cell.source = cell.source.replace(course.published.kit, f"attention-lab @ {address}")
    return notebook


def solved(stem: str) -> nbformat.NotebookNode:
    """The release with the master's solution pasted in."""
    master = nbformat.read(ROOT / "source" / stem / f"{stem}.ipynb", as_version=4)
    notebook = released(stem)
    (right,) = [cell.source for cell in master.cells if cell.id == SOLUTION_ID]
    (stub,) = [cell for cell in notebook.cells if cell.id == SOLUTION_ID]
    stub.source = right
    return notebook


@pytest.mark.process
@pytest.mark.parametrize("stem", STEMS)
def test_release_with_a_right_solution_runs_in_colab(stem, python, wheel, runtime):
    shutil.copy(wheel, runtime)
    notebook = solved(stem)
    nbformat.write(notebook, runtime / f"{stem}.ipynb")
    before = packages(python)
    start = time.perf_counter()
    cells = execute(notebook, runtime)
    print(f"{stem}: {time.perf_counter() - start:.1f} s in all, {seconds(cells['setup']):.1f} s of them the setup cell")
    assert not failed(cells)
    assert text_of(cells["setup"]).startswith(f"Installing the learner kit from {wheel.name}\n")
    assert "All that this notebook needs is here." in text_of(cells["setup"])
    for check in ("test-contract", "test-invariants"):
        assert text_of(cells[check]).count("passed: ") >= 4
    assert pictures(cells["mask-picture"]) >= 1
    assert pictures(cells["attention-map"]) == 1
    assert "Ready to hand in" in text_of(cells["hand-in"])
    after = packages(python)
    assert after.pop("attention-lab")
    assert after == before


JUDGES_OWN = ("safetensors", "rich", "markdown-it-py", "mdurl")  # the latter two are rich's


@pytest.fixture
def judge(
    python: Path, wheel: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """The commands of both packages, installed for one test with what judging takes besides Colab's own."""
    pip = (python, "-m", "pip")
    remove = (*pip, "uninstall", "--quiet", "--yes", "attention-lab", "attention-grading", *JUDGES_OWN)
    run(*remove)  # what an earlier run left that was ended
    before = packages(python)
    assert "nbgrader" not in before
    run(*pip, "install", "--quiet", "--no-deps", wheel, wheel_of(ROOT / "grading", tmp_path_factory.mktemp("grading")))
    run(*pip, "install", "--quiet", "--disable-pip-version-check", "safetensors", "rich")
    after = packages(python)
    assert {name: after.get(name) for name in before} == before
    assert after.keys() - before.keys() == {"attention-lab", "attention-grading", *JUDGES_OWN}
    yield lambda name, *arguments: run(python.parent / name, *arguments, PYTHONNOUSERSITE="1", OMP_NUM_THREADS="1")
    run(*remove)
    assert packages(python) == before


@pytest.mark.process
def test_judge_runs_in_colab_beside_its_packages(judge, runtime):
    stems = [VARIANTS[name].stem for name in ("eager_causal", "flash_bidirectional")]
    paths = [runtime / f"{stem}.ipynb" for stem in stems]
    for stem, path in zip(stems, paths, strict=True):
        nbformat.write(solved(stem), path)
    assert judge("attention-lab", "check", *paths).count("10 of 10 points") == 2
    said = judge("attention-grading", "judge", "--allow-unconfined", "eager_causal", paths[0])
    assert "10 of 10 points" in said


@pytest.mark.process
def test_colab_stands_on_its_own_versions(python):
    names = ("ipython", "ipywidgets", "ipykernel", "matplotlib", "numpy")
    versions = [packages(python)[name].rsplit(".", 1)[0] for name in names]
    assert versions == ["7.34", "7.7", "6.17", "3.10", "2.1"]


@pytest.fixture
def nothing_there() -> Iterator[str]:
    """An address of a server that knows no file."""
    answers = type(
        "Answers",
        (BaseHTTPRequestHandler,),
        {"do_GET": lambda self: self.send_error(404), "log_message": lambda *_: None},
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/v9.zip"
        server.shutdown()


def code_cells(cells: dict[str, nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    return [cell for cell in cells.values() if cell.cell_type == "code"]


LATER = "The learner kit is not installed yet: run the notebook's first code cell again."


@pytest.mark.process
@pytest.mark.parametrize(
    ("there", "means", "reason"),
    [(True, "there is nothing at this address.", "404"), (False, "the network is out of reach.", "refused")],
)
def test_failed_installation_is_told_in_three_sentences_and_each_later_cell_in_one(
    there, means, reason, python, runtime, nothing_there
):
    notebook = with_address(STEMS[0], nothing_there if there else "https://127.0.0.1:9/v9.zip")
    setup, *others = code_cells(execute(notebook, runtime, allow_errors=True))
    *printed, error = setup.outputs
    assert "".join(output.text for output in printed).count("\n") == 1  # which address is tried
    what, why, advice = error.traceback
    assert what == f"The learner kit could not be installed: {means}"
    assert why.startswith("pip: ")
    assert reason in why
    assert advice.startswith("Go online, or put the kit's wheel, attention_lab-….whl, beside this notebook.")
    assert len(others) > 10
    for cell in others:
        assert [output.get("traceback") for output in cell.outputs] == [[LATER]], cell.id


@pytest.mark.process
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_without_the_kit_each_cell_of_a_release_says_one_sentence(path, python, runtime):
    cells = execute(nbformat.read(path, as_version=4), runtime, allow_errors=True)
    names = [cell.id for cell in code_cells(cells)]
    setup, *others = code_cells(cells)[names.index("setup") :]
    (error,) = setup.outputs
    assert error.traceback[0].startswith("The learner kit ")
    assert "Install it as the course's README says, or put its wheel" in error.traceback[-1]
    for cell in others:
        assert [output.get("traceback") for output in cell.outputs] == [[LATER]], cell.id


@pytest.mark.process
def test_after_a_failed_installation_the_wheel_is_found_and_all_cells_run(python, wheel, runtime):
    notebook = solved(STEMS[0])
    (first,) = [copy.deepcopy(cell) for cell in notebook.cells if cell.id == "setup"]
    first.id = "first-try"
    bring = nbformat.v4.new_code_cell(f"import shutil  # then pip will install it\nshutil.copy({str(wheel)!r}, '.')")
    notebook.cells = [first, bring, *notebook.cells]
    cells = execute(notebook, runtime, allow_errors=True)
    assert [output.output_type for output in cells["first-try"].outputs] == ["error"]
    assert text_of(cells["test-invariants"]).count("passed: ") >= 4


@pytest.mark.parametrize("stem", STEMS)
def test_only_the_flash_notebooks_ask_colab_for_a_gpu(stem):
    metadata = released(stem).metadata
    if VARIANTS[stem.partition("_")[2]].kernel == "flash":
        assert metadata.accelerator == "GPU"
        assert metadata.colab.gpuType == "T4"  # the free one
    else:
        assert "accelerator" not in metadata
        assert "colab" not in metadata
