"""The tables in ``README.md`` that a benchmark writes by itself."""

from __future__ import annotations

from pathlib import Path


def between(name: str) -> tuple[str, str]:
    """The marks around a benchmark's tables."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"


def write_tables(readme: Path, name: str, text: str) -> None:
    """Put tables between their marks."""
    begin, end = between(name)
    before, found, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{readme} has no place for the tables: {begin.strip()} … {end}")
    readme.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")
