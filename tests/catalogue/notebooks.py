"""Notebooks that were changed by hand, damaged, or are something else altogether."""

from __future__ import annotations

import copy
import json
import os

from catalogue.entry import RIGHT, WRONG, Place, submission

TESTS = ("test-contract", "test-invariants", "test-values", "test-masking", "test-robustness", "test-kernel")


def nbgrader_of(p: Place, grade_id: str) -> dict:
    return p.cell(grade_id)["metadata"]["nbgrader"]


@submission("notebook", WRONG)
def deletes_the_checks(p: Place) -> None:
    p.solve(p.wrong)
    p.notebook["cells"] = [cell for cell in p.notebook["cells"] if cell["id"] not in TESTS]


@submission("notebook", RIGHT)
def deletes_everything_but_the_solution(p: Place) -> None:
    p.solve(p.right)
    p.notebook["cells"] = [p.cell("solution")]


@submission("notebook", WRONG)
def edits_the_checks(p: Place) -> None:
    p.solve(p.wrong)
    for name in TESTS:
        p.cell(name)["source"] = "2.0"


@submission("notebook", WRONG)
def doubles_the_checks(p: Place) -> None:
    p.solve(p.wrong)
    p.notebook["cells"] += [{**copy.deepcopy(p.cell(name)), "source": "2.0"} for name in TESTS]


@submission("notebook", WRONG)
def tags_the_checks_to_be_skipped(p: Place) -> None:
    p.solve(p.wrong)
    for name in TESTS:
        p.cell(name)["metadata"]["tags"] = ["skip-execution", "raises-exception", "nbgrader-ignore"]


@submission("notebook", WRONG)
def raises_its_points(p: Place) -> None:
    p.solve(p.wrong)
    for name in TESTS:
        nbgrader_of(p, name)["points"] = 1e9
    nbgrader_of(p, "solution").update(grade=True, points=100)


@submission("notebook", WRONG)
def gives_itself_a_manual_grade(p: Place) -> None:
    p.solve(p.wrong)
    p.notebook["metadata"] |= {"manual_score": 10, "attention_grading_rebuilt": True}
    for name in TESTS:
        nbgrader_of(p, name).update(solution=True, locked=False, manual_score=10, extra_credit=10)


@submission("notebook", WRONG)
def says_itself_that_it_is_broken(p: Place) -> None:
    """The words that the grader keeps for itself, between its steps."""
    p.solve(p.wrong)
    p.notebook["metadata"]["attention_grading_broken"] = {"score": 10, "words": "\x1b]0;title\x07<script>"}


@submission("notebook", WRONG)
def brings_outputs_that_passed(p: Place) -> None:
    p.solve(p.wrong)
    for name in TESTS:
        score = {"output_type": "execute_result", "data": {"text/plain": "2.0"}, "metadata": {}, "execution_count": 1}
        p.cell(name)["outputs"] = [score]


@submission("notebook", 0, says="where grading does not look for it")
def swaps_the_ids(p: Place) -> None:
    """The solution goes by a check's id: the text of checks is never the learner's."""
    p.solve(p.right)
    one, other = p.cell("solution"), p.cell("test-values")
    one["id"], other["id"] = other["id"], one["id"]
    one["metadata"], other["metadata"] = other["metadata"], one["metadata"]


@submission("notebook", RIGHT)
def moves_the_solution_to_the_end(p: Place) -> None:
    p.solve(p.right)
    cells = p.notebook["cells"]
    cells.append(cells.pop(cells.index(p.cell("solution"))))


@submission("notebook", WRONG)
def ends_a_hidden_region_in_its_own_cell(p: Place) -> None:
    p.solve(p.wrong + "\n### BEGIN HIDDEN TESTS\n2.0\n### END HIDDEN TESTS\n").after("### BEGIN HIDDEN TESTS\n2.0\n")


@submission("notebook", RIGHT)
def has_metadata_from_the_future(p: Place) -> None:
    p.solve(p.right)
    for name in (*TESTS, "solution"):
        nbgrader_of(p, name)["schema_version"] = 99


@submission("notebook", RIGHT)
def has_metadata_from_the_past(p: Place) -> None:
    p.solve(p.right)
    for name in (*TESTS, "solution"):
        nbgrader_of(p, name)["schema_version"] = 1
        nbgrader_of(p, name).pop("task", None)


@submission("notebook", RIGHT)
def has_metadata_of_wrong_kinds(p: Place) -> None:
    p.solve(p.right)
    for number, name in enumerate(TESTS):
        p.cell(name)["metadata"] = [None, [], "text", 7, {"nbgrader": [1]}, {"nbgrader": {"grade_id": {"a": 1}}}][
            number
        ]
    p.notebook["metadata"] = "none"


@submission("notebook", RIGHT)
def wants_another_kernel(p: Place) -> None:
    p.solve(p.right)
    p.notebook["metadata"]["kernelspec"] = {"name": "bash", "display_name": "Bash", "language": "bash"}
    p.notebook["metadata"]["language_info"] = {"name": "bash"}


@submission("notebook", RIGHT)
def wants_a_kernel_in_a_strange_place(p: Place) -> None:
    p.solve(p.right)
    p.notebook["metadata"]["kernelspec"] = {"name": "../../../../tmp/kernel", "display_name": ["x"]}


@submission("notebook", RIGHT)
def is_of_format_3(p: Place) -> None:
    p.solve(p.right)
    cells = []
    for cell in p.notebook["cells"]:
        old = {"cell_type": cell["cell_type"], "metadata": cell["metadata"]}
        if cell["cell_type"] == "code":
            old |= {"input": cell["source"], "language": "python", "collapsed": False, "outputs": []}
        else:
            old |= {"source": cell["source"]}
        cells.append(old)
    metadata = {"name": "old"}
    p.notebook = {"nbformat": 3, "nbformat_minor": 0, "metadata": metadata, "worksheets": [{"cells": cells}]}


@submission("notebook", RIGHT)
def is_of_format_999(p: Place) -> None:
    p.solve(p.right)
    p.notebook |= {"nbformat": 999, "nbformat_minor": -1}


@submission("notebook", RIGHT)
def is_of_no_format(p: Place) -> None:
    p.solve(p.right)
    p.notebook |= {"nbformat": "four", "nbformat_minor": None}


@submission("notebook", RIGHT)
def has_cells_that_are_none(p: Place) -> None:
    p.solve(p.right)
    p.notebook["cells"] += [None, 7, "text", [], {}, {"cell_type": "code"}, {"cell_type": [], "source": {}, "id": 3}]


@submission("notebook", RIGHT)
def has_one_id_for_all_its_cells(p: Place) -> None:
    p.solve(p.right).before("x = 1").after("y = 2")
    for cell in p.notebook["cells"]:
        if "nbgrader" not in cell["metadata"]:
            cell["id"] = "same"


def _bytes(p: Place, content: bytes) -> None:
    p.text = lambda notebook: content


@submission("notebook", 0, says="cannot be judged: the notebook is broken", shows="is broken")
def is_cut_off(p: Place) -> None:
    p.text = lambda notebook: json.dumps(notebook).encode()[:2000]


@submission("notebook", 0, says="the file is empty", shows="empty")
def is_empty(p: Place) -> None:
    _bytes(p, b"")


@submission("notebook", 0, says="not UTF-8 text", shows="UTF-8")
def is_binary(p: Place) -> None:
    _bytes(p, bytes(range(256)) * 100)


@submission("notebook", 0, says="not UTF-8|not valid JSON")
def is_utf_16(p: Place) -> None:
    p.text = lambda notebook: json.dumps(notebook).encode("utf-16")


@submission("notebook", 0, says="it is a web page")
def is_a_web_page(p: Place) -> None:
    _bytes(p, b"<!DOCTYPE html><html><script>alert(1)</script></html>")


@submission("notebook", 0, says="lists and objects")
def is_a_tower_of_brackets(p: Place) -> None:
    _bytes(p, b"[" * 5_000_000)


@submission("notebook", 0, says="code_cells")
def has_thousands_of_code_cells(p: Place) -> None:
    p.solve(p.right)
    p.notebook["cells"] += [{"cell_type": "code", "metadata": {}, "source": "1"}] * 3000


@submission("notebook", RIGHT)
def has_thousands_of_notes(p: Place) -> None:
    p.solve(p.right)
    p.notebook["cells"] += [{"cell_type": "markdown", "metadata": {}, "source": "a note"}] * 3000


@submission("notebook", 0, says="not an object")
def is_a_list(p: Place) -> None:
    _bytes(p, b"[1, 2, 3]")


@submission("notebook", 0, says="not valid JSON|no cells")
def is_a_number_of_a_million_digits(p: Place) -> None:
    _bytes(p, b'{"cells": ' + b"9" * 1_000_000 + b"}")


@submission("notebook", 0, says="larger than 50 MB", moves=True)
def is_sixty_megabytes(p: Place) -> None:
    p.solve(p.right)
    p.notebook["metadata"]["padding"] = "x" * 60_000_000


@submission("notebook", RIGHT)
def is_forty_megabytes_of_outputs(p: Place) -> None:
    p.solve(p.right)
    p.cell("setup")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x" * 79 + "\n"] * 500_000}]


@submission("notebook", 0, says="more than 100000 are not read")
def has_a_hundred_thousand_cells(p: Place) -> None:
    p.solve(p.right)
    p.notebook["cells"] += [{"cell_type": "code", "metadata": {}, "source": "1"}] * 100_000


@submission("notebook", 0, says="no cell defines the function", shows="no cell defines the function")
def defines_another_function(p: Place) -> None:
    p.solve(p.right.replace(p.function, "attention"))


@submission("notebook", 0)
def hands_in_the_release(p: Place) -> None:
    pass


@submission("notebook", 0)
def hands_in_a_file_that_does_not_parse(p: Place) -> None:
    p.solve(f"def {p.function}(q, k, v, num_heads:\n    return q")


# ---- files -----------------------------------------------------------------------------------------------------------


@submission("notebook", None, says="No notebooks were matched")
def hands_in_no_notebook(p: Place) -> None:
    p.write = False
    p.file("solution.txt", p.right)


@submission("notebook", 0, says="no such file|link to", moves=True)
def links_to_another_students_notebook(p: Place) -> None:
    p.write = False
    (p.folder / f"{p.stem}.ipynb").symlink_to(f"../../{p.world.neighbour}/{p.stem}/{p.stem}.ipynb")


@submission("notebook", 0, says="link to", moves=True)
def links_to_the_gradebook(p: Place) -> None:
    p.write = False
    (p.folder / f"{p.stem}.ipynb").symlink_to(p.world.course / "gradebook.db")


@submission("notebook", 0, says="link to", moves=True)
def is_a_link_to_another_students_folder(p: Place) -> None:
    p.write = False
    p.folder.rmdir()
    p.folder.symlink_to(f"../{p.world.neighbour}/{p.stem}")


@submission("notebook", RIGHT, says="link to", moves=True)
def links_to_secrets_beside_its_notebook(p: Place) -> None:
    p.solve(p.right)
    (p.folder / "secret.txt").symlink_to(p.world.home / "secret.txt")
    (p.folder / "all").symlink_to("/etc")
    (p.folder / f"{p.stem}_files").symlink_to(p.world.outside)


@submission("notebook", 0, says="is a folder, not a notebook", moves=True)
def is_a_folder(p: Place) -> None:
    p.write = False
    (p.folder / f"{p.stem}.ipynb").mkdir()
    p.file(f"{p.stem}.ipynb/x.ipynb", "{}")


@submission("notebook", 0, says="is not a regular file", moves=True)
def is_a_pipe(p: Place) -> None:
    p.write = False
    os.mkfifo(p.folder / f"{p.stem}.ipynb")


@submission("notebook", RIGHT, says="is not a regular file", moves=True)
def brings_pipes(p: Place) -> None:
    p.solve(p.right)
    os.mkfifo(p.folder / "data.csv")
    os.mkfifo(p.folder / "timestamp.txt")


@submission("notebook", RIGHT, says="holds no time", moves=True)
def brings_a_time_that_is_none(p: Place) -> None:
    p.solve(p.right)
    p.file("timestamp.txt", b"\xff\xfe yesterday")


@submission("notebook", RIGHT, says="more than 100 files", moves=True)
def brings_hundreds_of_files(p: Place) -> None:
    p.solve(p.right)
    for number in range(300):
        p.file(f"data-{number}.csv", "1")


@submission("notebook", RIGHT, says="folders deep", moves=True)
def brings_folders_without_end(p: Place) -> None:
    p.solve(p.right)
    p.file("/".join("d" * 1 for _ in range(300)) + "/x.txt", "x")


@submission("notebook", RIGHT)
def brings_modules_and_settings(p: Place) -> None:
    p.solve(p.right)
    evil = "raise SystemExit('REACHED')\n"
    for name in (
        "torch.py",
        "attention_grading.py",
        "nbgrader_config.py",
        "sitecustomize.py",
        "conftest.py",
        "json.py",
    ):
        p.file(name, evil)
    p.file("templates/feedback/index.html.j2", "REACHED")


@submission("notebook", RIGHT, says="is not graded")
def brings_two_notebooks(p: Place) -> None:
    p.solve(p.right)
    p.file("scratch.ipynb", json.dumps(p.notebook).replace("softmax", "sigmoid"))


@submission("notebook", RIGHT, says="write into the log", moves=True)
def brings_a_file_with_a_strange_name(p: Place) -> None:
    p.solve(p.right)
    p.file("a\x1b[31m\n$(touch REACHED)\u202e.txt", "x")
