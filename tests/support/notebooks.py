"""Small notebooks as text."""

from __future__ import annotations

import json


def notebook(*sources: str, solution: str | None = None) -> str:
    """A notebook with a code cell for each source; the one that is the solution is marked as such."""
    cells = [
        {
            "cell_type": "code",
            "id": "solution" if source == solution else f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(sources, start=1)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
