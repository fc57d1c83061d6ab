"""What a learning platform hands out, as bytes, and what intake made of it in ``submitted``."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime
from pathlib import Path

from nbgrader.utils import parse_utc

from support.places import RELEASES

STEM, OTHER = "02_eager_causal", "05_flash_bidirectional"
PACKED = (2026, 10, 1, 12, 30, 0)


def notebook(stem: str = STEM, mark: str = "") -> bytes:
    """A release, with a mark in its solution so that two can be told apart."""
    released = json.loads(RELEASES[stem].read_text())
    cell = next(cell for cell in released["cells"] if cell["id"] == "solution")
    cell["source"] = [*cell["source"], f"\n# {mark}"]
    return json.dumps(released, indent=1).encode()


def zipped(entries: dict[str, bytes], at: tuple[int, ...] = PACKED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, at), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def placed(tmp_path: Path) -> dict[str, bytes]:
    """What lies in ``submitted``, timestamps left out."""
    root = tmp_path / "submitted"
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("timestamp"))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def where(student: str, stem: str = STEM) -> str:
    return f"{student}/{stem}/{stem}.ipynb"


def stamp(tmp_path: Path, student: str, stem: str = STEM) -> datetime | None:
    """The time as nbgrader reads it."""
    path = tmp_path / "submitted" / student / stem / "timestamp.txt"
    return parse_utc(path.read_text().strip()) if path.exists() else None


PLAIN = {
    f"student-a/{STEM}.ipynb": notebook(mark="a"),
    f"student-a/{STEM} (1).ipynb": notebook(mark="a again"),
    f"student-a/{OTHER}/{OTHER}.ipynb": notebook(OTHER),
    f"student-b/Copy of {STEM}.ipynb": notebook(mark="b"),
    "student-b/readme.pdf": b"%PDF",
}


GOOD = f"student-a/{STEM}.ipynb"


def with_entry(name: str, data: bytes = b"{}", **fields: object) -> bytes:
    """A good notebook, and one entry with these fields."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(GOOD, PACKED), notebook(), zipfile.ZIP_DEFLATED)
        info = zipfile.ZipInfo("placeholder", PACKED)
        info.filename = info.orig_filename = name
        for field, value in fields.items():
            setattr(info, field, value)
        archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return file.getvalue()
