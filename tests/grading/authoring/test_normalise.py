"""The normal form of a notebook."""

from __future__ import annotations

import nbformat

from attention_grading.authoring.normalise import normal_text
from support.places import MASTERS, STEMS


def test_normaliser_sees_outputs_counts_and_foreign_ids():
    notebook = nbformat.read(MASTERS[STEMS[0]], as_version=4)
    normal = normal_text(notebook)
    for spoil in (
        lambda cell: cell.update(execution_count=3),
        lambda cell: cell.update(id="other"),
        lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", text="x")),
        lambda cell: cell.metadata.update(collapsed=True),
    ):
        spoiled = nbformat.reads(normal, as_version=4)
        spoil(next(cell for cell in spoiled.cells if cell.id == "setup"))
        assert nbformat.writes(spoiled) != normal.rstrip("\n")
        assert normal_text(spoiled) == normal
