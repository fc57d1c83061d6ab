"""Execute the source notebooks and lesson L1 on this machine's GPU: ``python benchmarks/gpu/notebooks.py OUT.tar.gz``.

Every cell has to run without an error, every graded cell has to earn its points, every notebook has to find the GPU by
itself, and the flash notebooks have to use the route that is named. The archive holds the executed notebooks and their
pictures, to look at.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from rich.console import Console

from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[2]


def tasks() -> list[Path]:
    """The notebook of every variant."""
    return [ROOT / "source" / variant.stem / f"{variant.stem}.ipynb" for variant in VARIANTS.values()]


def execute(path: Path) -> tuple[NotebookNode, float]:
    """The executed notebook and the seconds that it took."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:  # lesson L1 looks at finished functions
        cell.source = cell.source.replace('folder = "../release"', 'folder = "../source"')
    begin = time.perf_counter()
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    client.allow_errors = True
    client.execute()
    return notebook, time.perf_counter() - begin


def problems(notebook: NotebookNode, route: str) -> list[str]:
    """What is not as it should be in an executed notebook."""
    found, printed = [], []
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id == "decoding-check":  # 06's exercise, which its solution leaves open
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{cell.id}: {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                found.append(f"{cell.id} wrote to stderr: {output.text[:300]}")
            elif output.output_type == "stream":
                printed.append(output.text)
        found += _missed_points(cell)
    text = "".join(printed)
    if "device cuda" not in text:
        found.append("it did not say that it runs on the GPU")
    if "flash" in text.lower() and f"Flash route: {route}" not in text:
        found.append(f"it did not say that its flash route is {route}")
    return found


def _missed_points(cell: NotebookNode) -> list[str]:
    """A hidden cell ends in its score."""
    grading = cell.metadata.get("nbgrader", {})
    if not grading.get("grade") or "judge(" not in cell.source:
        return []
    earned = [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"]
    return [] if earned == [f"{grading['points']:.1f}"] else [f"{cell.id} earned {earned or 'nothing'}"]


def pictures(notebook: NotebookNode) -> list[tuple[str, bytes]]:
    """The PNGs of a notebook with the ids of their cells."""
    return [
        (f"{cell.id}-{number}", base64.b64decode(output.data["image/png"]))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for number, output in enumerate(cell.outputs)
        if "image/png" in output.get("data", {})
    ]


def main() -> int:
    """Execute all, print a line each; returns 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument(
        "--route", default="flash-attn", help="the flash route that must be used (default: %(default)s)"
    )
    options = parser.parse_args()
    console = Console(highlight=False, width=160)
    timed = sorted(ROOT.glob("notebooks/L1_*.ipynb"))
    paths, wrong = [*tasks(), *timed], 0
    with tarfile.open(options.archive, "w:gz") as archive, ThreadPoolExecutor(8) as pool:
        # what lesson L1 times, it times alone
        executed = chain(pool.map(execute, tasks()), map(execute, timed))
        for path, (notebook, seconds) in zip(paths, executed, strict=True):
            found = problems(notebook, options.route)
            wrong += bool(found)
            files = [(f"{name}.png", data) for name, data in pictures(notebook)]
            console.print(f"{path.stem}: {seconds:.0f} s, {len(files)} pictures, {'; '.join(found) or 'all well'}")
            for name, data in [*files, (f"{path.stem}.ipynb", nbformat.writes(notebook).encode())]:
                member = tarfile.TarInfo(f"{path.stem}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return 1 if wrong or not timed else 0


if __name__ == "__main__":
    sys.exit(main())
