"""A learner's cells are run one after the other; what does not run is skipped, and said shortly."""

from __future__ import annotations

from attention_lab.notebook.learner_cells import SOLUTION_ID
from attention_lab.notebook.run_cells import load, summed_up


def test_many_foreign_cells_that_do_not_run_make_one_line():
    foreign = [{"id": f"{number}", "source": f"missing_{number}()"} for number in range(170)]
    cells = [*foreign, {"id": SOLUTION_ID, "source": "def mine(): ..."}]
    notes, function = load(cells, "mine", "__main__")
    (note,) = summed_up(notes, cells)
    assert note.startswith("170 cells beside the solution did not run and were skipped, the first: cell 0 raised NameE")
    assert callable(function)


def test_the_solutions_own_failure_keeps_a_line_of_its_own():
    cells = [{"id": "1", "source": "a"}, {"id": "2", "source": "b"}, {"id": SOLUTION_ID, "source": "def mine(:"}]
    solution, others = summed_up(load(cells, "mine", "__main__")[0], cells)
    assert solution.startswith(f"cell {SOLUTION_ID} does not parse")
    assert others.startswith("2 cells beside the solution did not run")


def test_function_that_mentions_an_absent_package_is_found_when_more_cells_follow():
    body = "def mine(plot=False):\n    return plots.line() if plot else 3"
    sources = ("import no_such_plots as plots", body, "after = 1")
    notes, function = load(
        [{"id": f"{number}", "source": source} for number, source in enumerate(sources)], "mine", "m"
    )
    assert list(notes) == [0]
    assert function() == 3


def test_objects_that_a_function_uses_are_not_asked_for_code():
    odd = "class Odd:\n    def __getattribute__(self, name): raise ValueError(name)\nodd = Odd()"
    cells = [
        {"id": "1", "source": odd},
        {"id": "2", "source": "def mine(): return odd"},
        {"id": "3", "source": "x = 1"},
    ]
    assert callable(load(cells, "mine", "m")[1])
