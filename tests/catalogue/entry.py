"""One submission of the catalogue: how it is made from the release, and what it deserves."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]


@dataclass(frozen=True)
class World:
    """What lies around a submission when it is graded, and must stay as it is.

    Attributes:
        course: The course root.
        home: Home of the account that grades; holds ``secret.txt``.
        outside: A folder that everybody may read and write; holds ``canary.txt``.
        reference: The reference's file.
        tcp: Port of a listener on 127.0.0.1.
        udp: Port of another.
        unix: Path of a third; its abstract twin is ``\\0`` and the same path.
        neighbour: An honest student, whose solution holds a canary.
    """

    course: Path
    home: Path
    outside: Path
    reference: Path
    tcp: int
    udp: int
    unix: Path
    neighbour: str


@dataclass
class Place:
    """Where one student's submission is made.

    Attributes:
        world: What lies around it.
        stem: Stem of the assignment.
        function: Name of the function.
        folder: ``submitted/STUDENT/ASSIGNMENT``.
        notebook: The release, to be changed at will; it is written at the end unless ``write`` is unset.
        right: Source of a right solution.
        wrong: Source of a function with the right name that deserves ``WRONG`` points.
        write: Whether the notebook is written.
        name: Name of the notebook's file.
    """

    world: World
    stem: str
    function: str
    folder: Path
    notebook: Notebook
    right: str
    wrong: str
    write: bool = True
    name: str = ""
    text: Callable[[Notebook], bytes] = field(default=lambda notebook: json.dumps(notebook, indent=1).encode())

    def cell(self, grade_id: str) -> Notebook:
        """A cell of the release, by its id."""
        return next(cell for cell in self.notebook["cells"] if cell.get("id") == grade_id)

    def solve(self, source: str) -> Place:
        """Write the solution's cell."""
        self.cell("solution")["source"] = source
        return self

    def before(self, source: str, cell_type: str = "code") -> Place:
        """Add a cell above the solution."""
        return self._add(source, cell_type, 0)

    def after(self, source: str, cell_type: str = "code") -> Place:
        """Add a cell below the solution."""
        return self._add(source, cell_type, 1)

    def _add(self, source: str, cell_type: str, offset: int) -> Place:
        cells = self.notebook["cells"]
        added: Notebook = {"cell_type": cell_type, "id": f"added-{len(cells)}", "metadata": {}, "source": source}
        if cell_type == "code":
            added |= {"outputs": [], "execution_count": None}
        cells.insert(cells.index(self.cell("solution")) + offset, added)
        return self

    def file(self, name: str, content: bytes | str = b"") -> Path:
        """Hand in a further file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def finish(self) -> None:
        """Write the notebook."""
        if self.write:
            (self.folder / (self.name or f"{self.stem}.ipynb")).write_bytes(self.text(copy.deepcopy(self.notebook)))


@dataclass(frozen=True)
class Entry:
    """A submission and what it deserves.

    Attributes:
        name: Its name, and its student's.
        kind: ``code``, ``notebook``, ``resources``, ``outside``, ``output`` or ``clumsy``.
        make: Changes the release.
        deserves: Its score; ``None`` where nothing was handed in that could be graded.
        says: What the instructor's log must say of it; empty where nothing must be said.
        shows: What its feedback page must show; empty where nothing must.
        variant: Which notebook it is.
        moves: Whether grading moves or renames something in the student's own folder.
    """

    name: str
    kind: str
    make: Callable[[Place], object]
    deserves: float | None
    says: str = ""
    shows: str = ""
    variant: str = "eager_causal"
    moves: bool = False


CATALOGUE: list[Entry] = []


def submission(kind: str, deserves: float | None, **rest: Any) -> Callable[[Callable[[Place], object]], Any]:
    """Enter the function that makes a submission into the catalogue, under its own name."""

    def enter(make: Callable[[Place], object]) -> Callable[[Place], object]:
        CATALOGUE.append(Entry(make.__name__.replace("_", "-"), kind, make, deserves, **rest))
        return make

    return enter


# A function that returns zeros deserves the point for the contract: the shape, the dtype, the device, the call forms
WRONG = 1
RIGHT = 10
