"""Notebooks of many cells or large outputs, as text."""

from __future__ import annotations

import json


def notebook(outputs: list = (), code: int = 1, markdown: int = 0) -> str:
    cells = [{"cell_type": "code", "metadata": {}, "source": "x = 1", "outputs": list(outputs)}] * code
    cells += [{"cell_type": "markdown", "metadata": {}, "source": "words"}] * markdown
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
