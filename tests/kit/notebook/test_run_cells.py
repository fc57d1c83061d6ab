"""A learner's cells are run one after the other; what does not run is skipped, and said shortly."""

from __future__ import annotations

from attention_lab.notebook.learner_cells import SOLUTION_ID
from attention_lab.notebook.run_cells import load


def test_many_foreign_cells_that_do_not_run_make_one_line():
    foreign = [{"id": f"{number}", "source": f"missing_{number}()"} for number in range(170)]
    notes, function = load([*foreign, {"id": SOLUTION_ID, "source": "def mine(): ..."}], "mine", "__main__")
    (note,) = notes
    assert note.startswith("170 cells beside the solution did not run and were skipped, the first: cell 0 raised NameE")
    assert callable(function)


def test_the_solutions_own_failure_keeps_a_line_of_its_own():
    cells = [{"id": "1", "source": "a"}, {"id": "2", "source": "b"}, {"id": SOLUTION_ID, "source": "def mine(:"}]
    solution, others = load(cells, "mine", "__main__")[0]
    assert solution.startswith(f"cell {SOLUTION_ID} does not parse")
    assert others.startswith("2 cells beside the solution did not run")
