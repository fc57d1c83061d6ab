"""``make demo``: the whole round on a small bundled class, in a course root of its own.

Releases, submissions, autograding, feedback, ``grades.csv`` and a table student × assignment. Everything happens in
the folder given, which is wiped at the start; the course's own folders and gradebook are never written.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from attention_grading.cases import PUBLIC_SEED
from attention_grading.confinement import ConfinementUnavailable, require_available
from attention_grading.course import read_course
from attention_grading.session import UNCONFINED
from attention_lab.submission import SOLUTION_ID, grade_id_of
from attention_lab.variants import VARIANTS, Variant

DEMO_SECONDS = 10
COPIED = ("source", "course.toml", "nbgrader_config.py")

# One known mistake a notebook
MISTAKES: dict[str, str] = {
    "eager_bidirectional": """
def eager_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1)  # the scale is missing
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
""",
    "eager_causal": """
def eager_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        allowed = mask[:, None, None, :]  # the triangle is lost where a mask is given
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
""",
    "sdpa_bidirectional": """
def sdpa_bidirectional_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    keys = None if mask is None else ~mask[:, None, None, :]  # the polarity is the wrong way round
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).flatten(2)
""",
    "sdpa_causal": """
def sdpa_causal_attention(q, k, v, num_heads, head_dim, mask=None):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2) for x in (q, k, v))
    # the padding mask is never used
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
""",
    "flash_bidirectional": """
def flash_bidirectional_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    # the batch is treated as one long sequence
    ends = torch.tensor([0, len(q)], dtype=torch.int32, device=q.device)
    return flash_attn_varlen_func(q, k, v, ends, ends, len(q), len(q)).flatten(1)
""",
    "flash_causal": """
def flash_causal_attention(q, k, v, num_heads, head_dim, cu_seqlens, max_seqlen):
    q, k, v = (x.unflatten(-1, (num_heads, head_dim)) for x in (q, k, v))
    # causal is forgotten
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen).flatten(1)
""",
}


def right(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """The instructor's own solution."""
    return _with_solution(released, _solution(master).source)


def one_mistake(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A known mistake."""
    return _with_solution(released, MISTAKES[variant.name].strip())


def blank(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """The release as it was given out."""
    return nbformat.writes(released)


def syntax_error(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A function that does not parse."""
    return _with_solution(released, f"def {variant.function_name}(q, k, v, num_heads:\n    return q")


def broken_file(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A file that was cut off while it was saved."""
    text = nbformat.writes(released)
    return text[: len(text) // 2]


# What hostile cells try; a function that copies its values deserves what it earns without them
FORGERY = """
import builtins, sys
sys.displayhook = lambda value: builtins.print(10.0)
torch.allclose = torch.equal = lambda *arguments, **options: True
def judge(*arguments, **options): return 2.0
"""
PRYING = """
import os, pathlib, signal, socket
def attempt(action):
    try:
        print(action())
    except BaseException as error:
        print(type(error).__name__)
attempt(lambda: pathlib.Path("gradebook.db").write_bytes(b""))
attempt(lambda: [path.read_text() for path in pathlib.Path.cwd().rglob("*.ipynb")])
attempt(lambda: __import__("attention_grading.reference"))
attempt(lambda: socket.create_connection(("127.0.0.1", 80), timeout=1))
attempt(lambda: os.fork())
os.kill(os.getppid(), signal.SIGKILL)
"""


def forges_marks(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """A function that is wrong, and code that wants full marks for it."""
    return _with_solution(
        released, f"{FORGERY}\ndef {variant.function_name}(q, k, v, *more, **named): return v.clone()"
    )


def pries(variant: Variant, released: NotebookNode, master: NotebookNode) -> str:
    """The right function, and code that tries the gradebook, others' files, the reference, the network and a kill."""
    return _with_solution(released, _solution(master).source + PRYING)


def never_ends(variant: Variant, released: NotebookNode, master: NotebookNode) -> str | None:
    """A function that never returns; in one notebook only, since each costs the whole time limit."""
    if variant is not next(iter(VARIANTS.values())):
        return None
    return _with_solution(released, f"def {variant.function_name}(*arguments, **named):\n    while True: pass")


Writer = Callable[[Variant, NotebookNode, NotebookNode], str | None]
HOSTILE: dict[str, Writer] = {"forges-marks": forges_marks, "pries": pries, "never-ends": never_ends}
HONEST: dict[str, Writer] = {
    "all-right": right,
    "one-mistake": one_mistake,
    "blank": blank,
    "syntax-error": syntax_error,
    "broken-file": broken_file,
}
STUDENTS = HONEST | HOSTILE


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns 0 when every step did its work."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="the demo's course root; wiped at the start")
    parser.add_argument("--course", type=Path, default=Path.cwd(), help="the course root (default: this folder)")
    options = parser.parse_args(arguments)
    console = Console()
    folder: Path = options.folder.resolve()
    prepare(options.course.resolve(), folder)
    console.print(f"[bold]{read_course(folder).name}[/bold]: the whole round in {options.folder}")
    students = STUDENTS if trusts_confinement(folder, console) else HONEST
    steps = (
        ("generating six releases", lambda: nbgrader(folder, "generate_assignment", "--assignment=*")),
        ("making a class", lambda: make_class(folder, students)),
        ("autograding", lambda: nbgrader(folder, "autograde", "--assignment=*")),
        ("writing feedback", lambda: nbgrader(folder, "generate_feedback", "--assignment=*")),
        ("exporting grades.csv", lambda: nbgrader(folder, "export", "--to=grades.csv")),
    )
    for title, step in steps:
        with console.status(title):
            step()
        console.print(f"[green]done[/green]  {title}")
    console.print(gradebook_table(folder / "grades.csv"))
    console.print(reasons_table(folder))
    console.print(f"feedback: {options.folder / 'feedback'}    log: {options.folder / 'nbgrader.log'}")
    return 0


def prepare(course: Path, folder: Path) -> None:
    """Wipe the folder and give it what a course root needs.

    Raises:
        ValueError: The folder holds the course itself.
    """
    if course.is_relative_to(folder):
        raise ValueError(f"{folder} holds the course itself; the demo wipes its folder, so choose another")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (course / name).is_dir() else shutil.copy
        copy(course / name, folder / name)
    (folder / ".grading_seed").write_text(PUBLIC_SEED + "\n")  # so that everybody sees the same
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write(f"\nc.JudgingRules.seconds = {DEMO_SECONDS}  # the demo has an endless loop in its class\n")


def trusts_confinement(folder: Path, console: Console) -> bool:
    """Whether code can be confined here; where not, the demo's own course gets the option to do without."""
    try:
        require_available()
    except ConfinementUnavailable as reason:
        with (folder / "nbgrader_config.py").open("a") as config:
            config.write("c.JudgingRules.allow_unconfined = True\n")
        console.print(f"[yellow]{escape(UNCONFINED)}[/yellow]\n{escape(str(reason))}")
        console.print("The demo's hostile submissions are left out, and its honest ones run unconfined.")
        return False
    return True


def nbgrader(folder: Path, command: str, *options: str) -> None:
    """Run an nbgrader command as an instructor would, in the course root; its log goes to ``nbgrader.log``.

    Raises:
        RuntimeError: The command failed; the message holds the end of its log.
    """
    run = [sys.executable, "-m", "nbgrader", command, *options]
    done = subprocess.run(run, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    with (folder / "nbgrader.log").open("a") as log:
        log.write(f"$ nbgrader {command} {' '.join(options)}\n{done.stdout}\n")
    if done.returncode != 0:
        raise RuntimeError(f"nbgrader {command} failed:\n{done.stdout[-3000:]}")


def make_class(folder: Path, students: dict[str, Writer]) -> None:
    """Write every student's submissions from the releases; a writer that gives nothing hands nothing in."""
    for variant in VARIANTS.values():
        name = f"{variant.stem}/{variant.stem}.ipynb"
        released = nbformat.read(folder / "release" / name, as_version=4)
        master = nbformat.read(folder / "source" / name, as_version=4)
        for student, write in students.items():
            text = write(variant, released, master)
            if text is not None:
                path = folder / "submitted" / student / name
                path.parent.mkdir(parents=True)
                path.write_text(text, encoding="utf-8")


def gradebook_table(grades: Path) -> Table:
    """Student × assignment, from nbgrader's export."""
    with grades.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {(row["student_id"], row["assignment"]): float(row["score"]) for row in rows}
    table = Table(title="gradebook (points of 10; – where nothing was handed in)")
    table.add_column("student", no_wrap=True)
    for stem in _stems():
        table.add_column(stem.replace("bidirectional", "bidir.").replace("_", "\n"), justify="right", no_wrap=True)
    for student in sorted({student for student, _ in scores}, key=list(STUDENTS).index):
        handed_in = [(grades.parent / "autograded" / student / stem).is_dir() for stem in _stems()]
        cells = [
            f"{scores[student, stem]:g}" if there else "–" for stem, there in zip(_stems(), handed_in, strict=True)
        ]
        table.add_row(student, *cells)
    return table


def reasons_table(folder: Path) -> Table:
    """Why points were lost: for each graded notebook the first failed check's diagnosis, or else its message."""
    table = Table(title="why points were lost")
    for name in ("student", "assignment", "reason"):
        table.add_column(name, no_wrap=name == "student")
    for student in STUDENTS:
        seen = {stem: reason for stem in _stems() if (reason := _reason(folder / "autograded" / student / stem))}
        if len(set(seen.values())) == 1 and len(seen) == len(VARIANTS):
            seen = {"all six": next(iter(seen.values()))}
        for stem, reason in seen.items():
            table.add_row(student, stem, escape(reason))
    return table


def _stems() -> list[str]:
    return [variant.stem for variant in VARIANTS.values()]


def _reason(folder: Path) -> str | None:
    if not folder.is_dir():
        return None
    notebook = nbformat.read(folder / f"{folder.name}.ipynb", as_version=4)
    errors = [
        output.traceback
        for cell in notebook.cells
        if "points" in cell.metadata.get("nbgrader", {})
        for output in cell.outputs
        if output.output_type == "error"
    ]
    if not errors:
        return None
    diagnosed = [line for lines in errors for line in lines if line.startswith("diagnosis: ")]
    return diagnosed[0].removeprefix("diagnosis: ") if diagnosed else errors[0][0]


def _solution(notebook: NotebookNode) -> NotebookNode:
    return next(cell for cell in notebook.cells if grade_id_of(cell) == SOLUTION_ID)


def _with_solution(released: NotebookNode, source: str) -> str:
    notebook = nbformat.from_dict(released)
    cell = _solution(notebook)
    before, cell.source = cell.source, source
    text = nbformat.writes(notebook)
    cell.source = before
    return text


if __name__ == "__main__":
    sys.exit(main())
