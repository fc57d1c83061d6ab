"""Whether a submission has been graded as it is, by a fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import attention_lab
from attention_grading.notebooks.grade import GradingTerms

# Beside the graded notebook; the name's dot keeps it out of feedback (c.CourseDirectory.ignore)
STAMP = ".graded.json"


def fingerprint(folder: Path, masters: Iterable[str], terms: GradingTerms, late: float, rule: str = "") -> str:
    """Everything of a course that a grade hangs on, as one hash. The seed itself cannot be told from it.

    The packages' versions are no part of it: an upgrade in the middle of a term changes nobody's grade unasked.

    Args:
        folder: The submission: all that is in it counts.
        masters: The instructor's notebooks.
        terms: What holds for the run.
        late: Seconds after the due date, as the gradebook has them.
        rule: What lateness costs; it counts for those who are late.
    """
    known = {
        "seed": _hash(terms.judging.seed.encode()),
        "limits": repr((terms.judging.limits, terms.judging.output_limits, terms.judging.code_cells)),
        "shown": repr((terms.verdict_only, terms.max_lines, terms.max_traceback)),
        "masters": [_hash(master.encode()) for master in masters],
        "files": list(_contents(folder)),
        "late": (late, rule if late else ""),
    }
    return _hash(json.dumps(known, sort_keys=True).encode())


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    """Names and hashes of all files, links not followed."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            plain = stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK)
            yield os.fsencode(path.relative_to(folder)).hex(), _hash_file(path) if plain else "not a regular file"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(grading: str) -> str:
    """By which packages a run grades.

    Args:
        grading: The version of this one (``GradingTerms.version``).
    """
    return f"attention-grading {grading} with attention-lab {attention_lab.__version__}"


def stamp_of(folder: Path) -> str | None:
    """The fingerprint that a graded submission was stamped with; ``None`` where there is none."""
    return _stamped(folder, "fingerprint")


def versions_of(folder: Path) -> str:
    """The ``versions`` by which a submission was graded."""
    return _stamped(folder, "versions") or "unknown versions"


def _stamped(folder: Path, name: str) -> str | None:
    try:
        text: str = json.loads((folder / STAMP).read_text(encoding="utf-8"))[name]
        return text
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_stamp(folder: Path, print_: str, versions: str) -> None:
    """Stamp a graded submission."""
    stamp = {"fingerprint": print_, "versions": versions}
    (folder / STAMP).write_text(json.dumps(stamp) + "\n", encoding="utf-8")
