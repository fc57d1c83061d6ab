"""The house stays small: no crowded room, no long module."""

from __future__ import annotations

from support.places import ROOT

PACKAGES = (ROOT / "src" / "attention_lab", ROOT / "grading" / "src" / "attention_grading")


def test_no_module_has_more_than_400_lines():
    lines = {path: len(path.read_text().splitlines()) for package in PACKAGES for path in package.rglob("*.py")}
    assert {path.name: count for path, count in lines.items() if count > 400} == {}


def test_no_room_has_more_than_twelve_modules():
    rooms = {folder for package in PACKAGES for folder in (package, *package.rglob("*/"))}
    crowded = {room.name: len({*room.glob("*.py")} - {room / "__init__.py"}) for room in rooms}
    assert {name: count for name, count in crowded.items() if count > 12} == {}


def test_every_room_says_what_it_is_for():
    for package in PACKAGES:
        for init in package.rglob("__init__.py"):
            assert init.read_text().startswith('"""'), init
