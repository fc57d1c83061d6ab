"""Find out which of the course's notebooks one is, by its content first and its name second, and repair its file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nbformat

from attention_grading.files import decode
from attention_lab.notebook.learner_cells import (
    MAX_CODE_CELLS,
    SOLUTION_ID,
    NotJudgeable,
    count_code_cells,
    defines,
    grade_id_of,
    parse_notebook,
    source_of,
)
from attention_lab.variants import VARIANTS, Variant

# longer names first: one may be the beginning of another
_IN_NAME = re.compile(
    "|".join(r"[\W_]*".join(name.split("_")) for name in sorted(VARIANTS, key=len, reverse=True)), re.IGNORECASE
)
_BY_LETTERS = {name.replace("_", ""): name for name in VARIANTS}
_IN_CHECK = re.compile(r"\b(?:check|judge)\(\s*\\?[\"'](\w+)\\?[\"']\s*,\s*\\?[\"']\w+\\?[\"']")
_IN_TASK = re.compile(r"Your task: `(\w+)_attention`")
_IN_BROKEN = re.compile(r"\bdef (\w+)_attention\b")


@dataclass(frozen=True)
class Recognised:
    """What a file turned out to be.

    Attributes:
        variant: Which of the course's; ``None`` where nothing says so.
        data: The notebook as it is handed on.
        by: What said which it is, in words.
        repairs: What was repaired, in words.
        notes: What an instructor should know, in words.
        broken: Why the grader will not be able to read it; ``None`` where it will.
    """

    variant: Variant | None
    data: bytes
    by: str = ""
    repairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    broken: str | None = None


def recognise(data: bytes, names: Sequence[str]) -> Recognised:
    """Recognise and repair a notebook.

    Args:
        data: The file.
        names: What it was called: the learner's own file name first, then folders and the LMS's names.
    """
    named = next((variant for name in names if (variant := variant_in_name(name))), None)
    text, repairs = decode(data)
    if text is None:
        return Recognised(named, data, "name", broken="it is no text")
    try:
        notebook = parse_notebook(text, code_cells=None)  # the limit is the course's affair, when it grades
    except NotJudgeable as reason:
        spoken = next(filter(None, (_only(mark.findall(text)) for mark in (_IN_CHECK, _IN_TASK, _IN_BROKEN))), None)
        return Recognised(named or spoken, data, "name" if named else "text", broken=str(reason))
    variant, by, notes = _by_content(notebook, named)
    if variant is not None and named not in (None, variant):
        notes = (*notes, f"its name says {named.stem}, its content is {variant.stem}")
    if (number := count_code_cells(notebook)) > MAX_CODE_CELLS:
        notes = (*notes, f"has {number} code cells: see c.JudgingRules.code_cells")
    if _is_old(notebook):
        text, converted = _to_format_4(text)
        repairs += converted
    return Recognised(
        variant or named,
        text.encode() if repairs else data,
        by if variant else "name",
        repairs,
        notes if variant else ("nothing in it says which notebook of the course it is",),
    )


def looks_like_notebook(data: bytes) -> bool:
    """Whether a file without a notebook's name may be one all the same."""
    return data.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith(b"{") and (
        b'"cells"' in data or b'"worksheets"' in data or b"c\0e\0l\0l\0s\0" in data
    )


def variant_in_name(name: str) -> Variant | None:
    """The variant that a file or folder is called after; ``None`` where it is none, or more than one."""
    return _only([_BY_LETTERS[re.sub(r"[\W_]+", "", found).casefold()] for found in _IN_NAME.findall(name)])


def _by_content(notebook: dict[str, Any], named: Variant | None) -> tuple[Variant | None, str, tuple[str, ...]]:
    """Solution and checks say which it is; where they do not agree, the name decides between them."""
    solutions = [source_of(cell) for cell in notebook["cells"] if grade_id_of(cell) == SOLUTION_ID]
    code = [source_of(cell) for cell in notebook["cells"] if cell.get("cell_type") == "code"]
    written = _defined(solutions) or _defined(code)
    checked = _known([name for source in code for name in _IN_CHECK.findall(source)])
    both = [variant for variant in written if variant in checked]
    if len(both) == 1:
        return both[0], "function and checks", ()
    if written and checked:
        choice = named if named in (*written, *checked) else checked[0]
        names = ", ".join(variant.function_name for variant in written)
        return choice, "checks", (f"its checks are those of {checked[0].stem}, but its solution defines {names}",)
    found = written or checked
    if len(found) == 1 or named in found:
        return (named if named in found else found[0]), "function" if written else "checks", ()
    task = _only([name for cell in notebook["cells"] for name in _IN_TASK.findall(source_of(cell))])
    return task, "task", ()


def _defined(sources: Sequence[str]) -> list[Variant]:
    return [
        variant
        for variant in VARIANTS.values()
        if any(defines(source, variant.function_name) for source in sources if variant.function_name in source)
    ]


def _known(names: Sequence[str]) -> list[Variant]:
    return [VARIANTS[name] for name in dict.fromkeys(names) if name in VARIANTS]


def _only(names: Sequence[str]) -> Variant | None:
    found = _known(names)
    return found[0] if len(found) == 1 else None


def _is_old(notebook: dict[str, Any]) -> bool:
    version = notebook.get("nbformat")
    return "worksheets" in notebook or (isinstance(version, int) and version < 4)


def _to_format_4(text: str) -> tuple[str, tuple[str, ...]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = nbformat.writes(nbformat.reads(text, as_version=4)) + "\n"
        converted.encode()
        return converted, ("brought from an old format to format 4",)
    except Exception:  # the grader reads old formats too, so what nbformat cannot convert is handed on as it is
        return text, ()
