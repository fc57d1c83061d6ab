"""Files that others write: keeping those that are replaced, and reading text and tables in whatever encoding."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path


def free_name(path: Path) -> Path:
    """The path itself where nothing is there, else with the first number that is free."""
    number = 0
    free = path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def keep_aside(path: Path) -> str | None:
    """Give a file a numbered name, so that another can take its place; returns that name."""
    return path.rename(free_name(path)).name if os.path.lexists(path) else None


def decode(data: bytes) -> tuple[str | None, tuple[str, ...]]:
    """A file's text as UTF-8 without a byte order mark, and what had to be repaired for that."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), ("was UTF-16, is UTF-8",)
        except UnicodeDecodeError:
            return None, ()
    mark = ("byte order mark removed",) if data.startswith(b"\xef\xbb\xbf") else ()
    try:
        return data.decode("utf-8-sig"), mark
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), ("was no UTF-8, read as Windows-1252",)
    except UnicodeDecodeError:
        return None, ()


def read_cells(path: Path) -> tuple[list[list[str]], str]:
    """Rows of a spreadsheet in CSV, and what stands between their cells; decoded as notebooks are.

    Raises:
        ValueError: The file cannot be read, or is no CSV; the message says why.
    """
    try:
        data = path.read_bytes()
        if data.startswith(b"PK\x03\x04"):
            raise ValueError(f"{path} is a spreadsheet program's own file: save it as CSV")
        text, _ = decode(data)
        if text is None:
            raise ValueError(f"{path} cannot be read: it is no text; export it as CSV")
        if text.startswith("sep="):  # Excel's own line
            text = text.partition("\n")[2]
        delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), delimiter
    except (OSError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
