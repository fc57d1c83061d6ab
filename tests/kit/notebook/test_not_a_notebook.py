"""Files that were handed in as notebooks and are none: each is told in its own words, with what to do."""

from __future__ import annotations

import json

import pytest

from attention_lab.notebook.learner_cells import NotJudgeable, parse_notebook
from support.places import RELEASES, STEMS

WHOLE = RELEASES[STEMS[0]].read_text()
MERGE = '<<<<<<< HEAD\n  "a": 1\n=======\n  "a": 2\n>>>>>>> theirs\n'
FILES = {
    "": "the file is empty",
    " \n": "the file is empty",
    WHOLE.replace(' "cells"', f'{MERGE} "cells"', 1): "git's conflict markers are in it, the first in line 2",
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n": "it is a Git LFS pointer",
    "\n<!DOCTYPE html>\n<html><body>Sign in</body></html>": "it is a web page",
    "<html lang='en'>": "it is a web page",
    "[InternetShortcut]\nURL=https://colab.research.google.com/drive/1a\n": "it is a link or a shortcut",
    "https://colab.research.google.com/drive/1a?usp=sharing\n": "it is a link or a shortcut",
    json.dumps({"doc_id": "1a", "email": "a@example.org"}): "it is a link or a shortcut",
    json.dumps({"url": "https://drive.google.com/open?id=1a"}): "it is a link or a shortcut",
    WHOLE[: len(WHOLE) // 2]: "it ends in the middle",
    WHOLE[:-3]: "it ends in the middle",
    "def eager_causal_attention(q, k, v): ...": "it is some other text",
    '{"cells": [1,, 2]}': "it is not valid JSON (Expecting value: line 1",
    json.dumps({"cells": None}): "it has no cells",
}


@pytest.mark.parametrize(("text", "words"), FILES.items(), ids=list(map(str, range(len(FILES)))))
def test_what_is_no_notebook_is_told_in_its_own_words(text, words):
    with pytest.raises(NotJudgeable) as told:
        parse_notebook(text)
    assert words in str(told.value)
    assert str(told.value).startswith("the notebook is broken: ")


def test_conflict_markers_inside_of_a_cell_are_the_learners_text():
    notebook = {"cells": [{"cell_type": "markdown", "source": [MERGE]}]}
    assert len(parse_notebook(json.dumps(notebook, indent=1))["cells"]) == 1


def test_text_that_is_cut_anywhere_is_told_to_end_in_the_middle():
    text = json.dumps({"cells": [{"a": None, "b": True, "c": -1.5e3, "d": "x\\n"}, []], "nbformat": 4}, indent=1)
    for end in range(1, len(text)):
        with pytest.raises(NotJudgeable, match="ends in the middle"):
            parse_notebook(text[:end])
