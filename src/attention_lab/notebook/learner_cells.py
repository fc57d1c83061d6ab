"""Read what a learner hands in, and find the learner's own code in it.

Only the text of the learner's cells is taken over: the solution, and other code cells that the notebook did not come
with. Everything else, the checks above all, is the instructor's and comes from the instructor's source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_lab.notebook.not_a_notebook import shortcut, what_it_is
from attention_lab.variants import Variant

SOLUTION_ID = "solution"
STUB_MARK = "Write your solution here"

GRADED_IDS = ("test-contract", "test-invariants", "test-values", "test-masking", "test-robustness", "test-kernel")
HAND_IN_ID = "hand-in"
JUDGE_ALL_ID = "judge-all"
SETUP_ID = "setup"

DIAGRAM_IDS = (
    "why-picture",
    "decoding-picture",
    "alignment-picture",
)  # the same for every learner: grading does not draw them again

# The instructor's cells, by grade_id; a test compares them with source/
INSTRUCTOR_IDS = frozenset(
    (
        SETUP_ID,
        *DIAGRAM_IDS,
        "idea-example",
        "toy-inputs",
        "mask-picture",
        "why-flash-picture",
        "attention-map",
        *GRADED_IDS,
        JUDGE_ALL_ID,
        "decoding-check",
        "bytes",
        "memory-plot",
        "cache-bytes",
        "groups",
        "groups-map",
        "saving",
        "decode-bytes",
        "generate-step",
        "generate",
        "row",
        "leak",
        "blocks",
        HAND_IN_ID,
    )
)

# A notebook is some tens of kilobytes; pictures make it hundreds
MAX_BYTES = 50 * 2**20
MAX_CODE_CELLS = 2000
MAX_CELLS = 100_000  # of every kind
# Python takes 60 bytes and more for each list, object and text: 50 MB of "[]," would fill a gigabyte. A plot of 100 000
# points has some hundred thousand of them
MAX_LISTS = 1_000_000  # and objects
MAX_VALUES = 5_000_000
MAX_CODE = 500_000  # characters: whoever highlights more of it for a page takes minutes


class NotJudgeable(Exception):
    """A file from which no function can be taken; the message says why, and what to do."""


class TooManyCells(NotJudgeable):
    """A notebook with more code cells than are read."""


@dataclass(frozen=True)
class Submission:
    """A learner's code.

    Attributes:
        cells: Objects with ``id`` and ``source``, in the order to run them; the learner's own have their number in the
            notebook for an id.
        notes: What was repaired or left out, in words.
        is_notebook: Whether a cell that raises is skipped (a notebook) or ends it (a ``.py`` file).
    """

    cells: tuple[dict[str, str], ...]
    notes: tuple[str, ...] = ()
    is_notebook: bool = True


def read_submission(path: Path, variant: Variant) -> Submission:
    """Read a ``.py`` file or a notebook.

    Args:
        path: The file.
        variant: What it is to be judged as.

    Raises:
        NotJudgeable: The file cannot be read, or is a notebook that does not define the function.
    """
    text = read_text(path)
    if path.suffix == ".py":
        _require_readable(len(text))
        # parsed where it is run: Python's parser can be made to take a gigabyte, or minutes
        return Submission(({"id": "file", "source": text},), is_notebook=False)
    if path.suffix == ".ipynb":
        return notebook_submission(parse_notebook(text), variant)
    raise NotJudgeable(f"{path.name} is neither a .py file nor a notebook (.ipynb)")


def read_text(path: Path) -> str:
    """Read a file as UTF-8, with or without a byte order mark.

    Raises:
        NotJudgeable: The file cannot be read, is too large or not UTF-8.
    """
    try:
        if not path.is_file():
            raise NotJudgeable("the file cannot be read: there is no such file")
        if path.stat().st_size > MAX_BYTES:
            raise NotJudgeable(f"the file is larger than {MAX_BYTES // 2**20} MB")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise NotJudgeable(f"the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise NotJudgeable("the file is not UTF-8 text; save it again as .ipynb or .py") from error


def parse_notebook(text: str, code_cells: int | None = MAX_CODE_CELLS) -> dict[str, Any]:
    """The notebook's JSON as an object with a list of cells; notebooks of format 3 are flattened.

    Args:
        text: The file's text.
        code_cells: How many code cells it may have; ``None`` for no limit.

    Raises:
        NotJudgeable: The text is not a notebook, or a notebook that would fill the memory.
        TooManyCells: It has more code cells than that.
    """
    _require_small(text)
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotJudgeable(f"the notebook is broken: {what_it_is(text, error)}") from error
    if not isinstance(notebook, dict):
        raise NotJudgeable("the notebook is broken: its JSON is not an object")
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        sheets = notebook.get("worksheets")  # format 3 kept its cells in worksheets
        sheets = sheets if isinstance(sheets, list) else []
        cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in _listed(sheet.get("cells"))]
        if not cells:
            raise NotJudgeable(f"the notebook is broken: {shortcut(notebook) or 'it has no cells'}")
    if len(cells) > MAX_CELLS:
        raise NotJudgeable(f"the notebook has {len(cells)} cells; more than {MAX_CELLS} are not read")
    notebook["cells"] = [cell for cell in cells if isinstance(cell, dict)]
    of_code = count_code_cells(notebook)
    if code_cells is not None and of_code > code_cells:
        raise TooManyCells(
            f"the notebook has {of_code} code cells; more than {code_cells} are not read. Delete those that your "
            "function does not need"
        )
    return notebook


def count_code_cells(notebook: dict[str, Any]) -> int:
    """How many of a notebook's cells are code; the notebook is one from ``parse_notebook``."""
    return sum(cell.get("cell_type") == "code" for cell in notebook["cells"])


def _require_small(text: str) -> None:
    """Refuse what would be many times as large once it is read."""
    lists, values = _count_parts(text)
    if lists > MAX_LISTS or values > MAX_VALUES:  # brackets and commas inside of texts cost nothing
        lists, values = _count_parts(_TEXTS.sub("", text))
    for number, limit, what in ((lists, MAX_LISTS, "lists and objects"), (values, MAX_VALUES, "values")):
        if number > limit:
            raise NotJudgeable(
                f"the notebook has {number} {what}; more than {limit} are not read. Clear its outputs, save it and "
                "hand it in again"
            )


def _count_parts(text: str) -> tuple[int, int]:
    lists = text.count("[") + text.count("{")
    return lists, lists + text.count(",") + text.count(":")


# to its closing quote, or to the end of a broken file
_TEXTS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)


def notebook_submission(notebook: dict[str, Any], variant: Variant, master: dict[str, Any] | None = None) -> Submission:
    """Find the learner's cells in a notebook.

    Args:
        notebook: From ``parse_notebook``.
        variant: What it is to be judged as.
        master: The instructor's source. Its toy inputs run before the learner's cells (without it, the notebook's
            own), and copies of its cells that lost their ids are recognised by their text.

    Raises:
        NotJudgeable: No cell defines the function.
    """
    # the solution is no copy, even where it is the instructor's own to the letter
    instructors = [cell for cell in (master or {}).get("cells", ()) if grade_id_of(cell) != SOLUTION_ID]
    known = {source_of(cell).strip() for cell in instructors}
    cells, notes, elsewhere = [], [], []
    for number, cell in enumerate(notebook["cells"], start=1):
        grade_id, source = grade_id_of(cell), source_of(cell)
        is_code = cell.get("cell_type") == "code"
        if grade_id == SOLUTION_ID and not is_code and defines(source, variant.function_name):
            notes.append("the solution's cell had another type than code; it is judged as code")
            is_code = True
        is_replaced = grade_id in INSTRUCTOR_IDS and grade_id != SETUP_ID
        if (is_replaced or not is_code) and is_written(source, variant.function_name):
            elsewhere.append(grade_id or f"{number}")
        if not is_code or not source.strip():
            continue
        if grade_id == SETUP_ID and master is not None and not _as_released(source, master):
            notes.append("the setup cell was edited; it runs as the learner's own")
        elif grade_id in INSTRUCTOR_IDS:
            continue
        if grade_id != SOLUTION_ID and source.strip() in known:
            continue
        is_courses = grade_id == SOLUTION_ID or grade_id in INSTRUCTOR_IDS
        cells.append({"id": grade_id if is_courses else f"{number}", "source": source})
    _require_readable(sum(len(cell["source"]) for cell in cells))
    chosen = _choose(cells, variant, notes, elsewhere)
    return Submission((*_prelude(master or notebook), *chosen), tuple(notes))


def _require_readable(characters: int) -> None:
    if characters > MAX_CODE:
        raise NotJudgeable(f"your code has {characters} characters; more than {MAX_CODE} are not read")


def _as_released(source: str, master: dict[str, Any]) -> bool:
    """Whether the text is the instructor's setup cell, whose placeholders a release fills."""
    setup = next((source_of(cell) for cell in master["cells"] if grade_id_of(cell) == SETUP_ID), "")
    first, *others = re.split(r"\{\{[^{}]*\}\}", setup.strip())
    text = source.strip().replace("\r\n", "\n")
    if not others:
        return text == first
    *between, last = others
    if not text.startswith(first):
        return False
    # each part at the first place where it fits: a pattern with as many gaps tries all places of all parts
    place = len(first)
    for part in between:
        found = text.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return text.endswith(last) and place + len(last) <= len(text)


def grade_id_of(cell: dict[str, Any]) -> str:
    """The cell's nbgrader id, or its own where it has no nbgrader metadata; empty where it has neither."""
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    for name in (grade_id, cell.get("id")):
        if isinstance(name, str) and name:
            return name
    return ""


def defines(source: str, function_name: str) -> bool:
    """Whether the text defines the function, by ``def`` or by an assignment at the start of a line."""
    # a def may stand under an if or a try
    pattern = rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{function_name}\b|^{function_name}[ \t]*[:=]"
    return re.search(pattern, source, re.M) is not None


def functions_in(sources: Sequence[str]) -> list[str]:
    """Names of the functions that cells define."""
    return sorted({name for source in sources for name in re.findall(r"^def\s+(\w+)", source, re.M)})


def is_written(source: str, function_name: str) -> bool:
    """Whether the text defines the function, and is more than the untouched stub."""
    return defines(source, function_name) and STUB_MARK not in source


def _choose(
    cells: list[dict[str, str]], variant: Variant, notes: list[str], elsewhere: Sequence[str]
) -> list[dict[str, str]]:
    """Leave out untouched stubs where another cell defines the function.

    Args:
        cells: The learner's.
        variant: What it is to be judged as.
        notes: What is to be said is added to them.
        elsewhere: Cells that define the function and are not the learner's.
    """
    defining = [cell for cell in cells if defines(cell["source"], variant.function_name)]
    written = [cell for cell in cells if is_written(cell["source"], variant.function_name)]
    if elsewhere and not written:
        lost = (
            f"{variant.function_name} is written in cell {', '.join(elsewhere)}, where grading does not look for it: "
            "only the solution cell and code cells that you add are judged. Move it into the solution cell"
        )
        if not defining:
            raise NotJudgeable(lost)
        notes.append(lost)
    if not defining:
        others = functions_in([cell["source"] for cell in cells])
        seen = f"; the notebook defines {', '.join(others[:5])}" if others else ""
        raise NotJudgeable(f"no cell defines the function {variant.function_name}{seen}")
    if len(written) > 1:
        notes.append(f"{len(written)} cells define {variant.function_name}; the last one counts")
    if not written:
        return cells
    return [cell for cell in cells if cell in written or cell not in defining]


def _prelude(notebook: dict[str, Any]) -> Sequence[dict[str, str]]:
    """The toy inputs, which a learner's free cells may use."""
    toys = [source_of(cell) for cell in notebook["cells"] if grade_id_of(cell) == "toy-inputs"]
    return [{"id": "toy-inputs", "source": source} for source in toys[:1]]


def source_of(cell: dict[str, Any]) -> str:
    """A cell's text, whether it is kept as one string or as lines."""
    source = cell.get("source", cell.get("input", ""))  # format 3 called it input
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    # JSON can hold halves of characters, which no file can
    return source.encode("utf-8", "replace").decode("utf-8") if isinstance(source, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
