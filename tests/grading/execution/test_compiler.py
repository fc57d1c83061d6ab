"""PyTorch's compiler is imported once a server, for the functions that need it, and for no others."""

from __future__ import annotations

import pytest

from attention_grading.judging.session import Session
from attention_lab.notebook.learner_cells import Submission
from attention_lab.variants import VARIANTS
from corpus import CORPUS

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]

FLEX = VARIANTS["flex_document"]


def with_note(variant, name):
    """An answer whose file says on a failing line whether the compiler was there when it ran."""
    (source,) = (each.source for each in CORPUS if (each.variant, each.name) == (variant.name, name))
    told = "import sys\nhere = 'torch._dynamo' in sys.modules\n"
    cells = [
        {"id": "note", "source": f"{told}assert not here, 'the compiler is here'"},
        {"id": "own", "source": source},
    ]
    return Submission(tuple(cells))


def notes(session, variant, name):
    verdict = session.judge(variant, with_note(variant, name))
    assert verdict.score == verdict.max_score, verdict
    return " ".join(verdict.notes)


def test_a_server_imports_it_for_the_first_function_that_needs_it():
    with Session() as session:
        assert "the compiler is here" not in notes(session, VARIANTS["eager_causal"], "view-transpose")
        assert "the compiler is here" in notes(session, FLEX, "closure")
