"""What befalls learners, and the words that they read there: what is wrong, where, and what to do.

A row of the table is an accident: how the notebook differs from a release with a right answer in it, which cells run,
and what is read below them. The hand-in cell calls no wrong answer ready and refuses no right one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pytest

from support import answers
from support.learner import cell_of, code_cells, desk, released, sit_down

pytestmark = pytest.mark.process

STEM = "02_eager_causal"
NAME = "eager_causal_attention"
RIGHT = answers.RIGHT.strip()

LOOKED_AT = ("test-contract", "test-invariants", "attention-map", "judge-all", "hand-in")
ALL_RIGHT = {"test-contract": "passed: device", "judge-all": "All six checks pass."}
NO_KIT_YET = "The learner kit is not installed yet: run the notebook's first code cell again."
NOT_YET = f"""No cell has defined {NAME} since the kernel started.
Run the solution cell; the function in it must have this name."""


@dataclass(frozen=True)
class Accident:
    """What happens to a learner.

    Attributes:
        reads: By the id of a cell, what is read below it.
        ready: Whether the hand-in cell says that the file can be handed in; ``None`` where it is not run.
        solution: What is in the solution cell.
        change: What else is done to the notebook before it is saved.
        runs: Ids of the cells that run; all where left away.
        before: Code that runs first and is in no file.
        file: Where the notebook is saved, from the kernel's folder.
        stopped: Id of the cell that is interrupted.
    """

    reads: Mapping[str, str]
    ready: bool | None = False
    solution: str = RIGHT
    change: Callable[[dict], None] = lambda content: None
    runs: tuple[str, ...] = ()
    before: str = ""
    file: str = f"{STEM}.ipynb"
    stopped: str = ""


def spoilt(line: str, instead: str) -> str:
    """The right answer with a part of it replaced."""
    assert RIGHT.count(line) == 1, line
    return RIGHT.replace(line, instead)


def without(name: str) -> Callable[[dict], None]:
    return lambda content: content["cells"].remove(cell_of(content, name))


def own_cell(source: str, after: str) -> Callable[[dict], None]:
    """Add a cell of the learner's own after another."""

    def add(content: dict) -> None:
        place = content["cells"].index(cell_of(content, after)) + 1
        own = {"cell_type": "code", "id": "own", "metadata": {}, "source": source, "outputs": []}
        content["cells"].insert(place, own)

    return add


def moved_to(name: str) -> Callable[[dict], None]:
    """The function is written in another cell, and the solution cell keeps its stub."""

    def move(content: dict) -> None:
        cell_of(content, name)["source"] = RIGHT
        cell_of(content, "solution")["source"] = cell_of(released(STEM), "solution")["source"]

    return move


def published_where_nobody_answers(content: dict) -> None:
    setup = cell_of(content, "setup")
    text = "".join(setup["source"])
    assert text.count("kit = ([] +") == 1
    setup["source"] = text.replace("kit = ([]", 'kit = (["attention-lab @ https://127.0.0.1:9/kit.zip"]')


# As on a machine that never had it
NO_KIT = """
import importlib.util, sys
for name in [name for name in sys.modules if name.partition(".")[0] == "attention_lab"]:
    del sys.modules[name]
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "attention_lab" else find(name, *more)
"""
ENDLESS = spoilt("    if mask is not None:", "    while True:\n        pass\n    if mask is not None:")
UP_TO_SOLUTION = ("setup", "toy-inputs", "solution")
LEFT_OUT = "softmax(dim=-1) @ v).transpose(1, 2).flatten(2)"

ACCIDENTS = {
    "cells out of order: the checks before the solution": Accident(
        runs=("setup", "toy-inputs", *LOOKED_AT),
        reads={
            **dict.fromkeys(("test-contract", "test-invariants", "attention-map", "judge-all"), NOT_YET),
            "hand-in": "fix   your function has not run since the kernel started. Run all cells from the top",
        },
    ),
    "cells out of order: the map before the toy inputs": Accident(
        runs=("setup", "solution", "attention-map", "hand-in"),
        reads={"attention-map": "NameError: name 'batch' is not defined"},
        ready=True,
    ),
    "kernel restarted, and no cell above run again": Accident(
        runs=("test-contract", "hand-in"),
        reads={
            "test-contract": "NameError: name 'check' is not defined",
            "hand-in": "NameError: name 'check_hand_in' is not defined",
        },
        ready=None,
    ),
    "kernel restarted, and the setup cell alone run again": Accident(
        runs=("setup", "toy-inputs", "try-it", "test-contract", "hand-in"),
        reads={"try-it": NOT_YET, "test-contract": NOT_YET, "hand-in": "has not run since the kernel started"},
    ),
    "renamed function": Accident(
        solution=spoilt(f"def {NAME}", "def my_attention"),
        reads={
            **dict.fromkeys(("test-contract", "attention-map", "judge-all"), NOT_YET),
            "hand-in": f"fix   no cell defines {NAME}; the solution cell defines my_attention. The solution cell must, "
            "under this name.",
        },
    ),
    "syntax error": Accident(
        solution=spoilt("if mask is not None:", "if mask is not None"),
        reads={
            "solution": "SyntaxError: expected ':'",
            "test-contract": NOT_YET,
            "hand-in": f"fix   the cell with {NAME} has a syntax error: line 5: expected ':'",
        },
    ),
    "untouched stub": Accident(
        change=lambda content: cell_of(content, "solution").update(cell_of(released(STEM), "solution")),
        reads={
            "try-it": "NotImplementedError: Write your solution here, then run this cell again.",
            "test-contract": "[shape and dtype] your function is not implemented yet\n"
            "expected a tensor, got the untouched stub\nlook at the task above",
            "hand-in": f"fix   {NAME} is still the untouched stub. Write it in the solution cell, run the",
        },
    ),
    "a check's cell deleted": Accident(
        change=without("test-masking"),
        reads={
            **ALL_RIGHT,
            "hand-in": "fix   these cells are missing: test-masking. Open a fresh copy of this notebook, and paste",
        },
    ),
    "solution cell deleted": Accident(
        change=without("solution"),
        reads={"test-contract": NOT_YET, "hand-in": "fix   these cells are missing: solution. Open a fresh copy"},
    ),
    "solution in the try-it cell": Accident(
        change=moved_to("try-it"),
        reads={**ALL_RIGHT, "hand-in": f"fix   {NAME} is not in the solution cell. Move it there"},
    ),
    "prints in the function": Accident(
        solution=spoilt("    if mask is not None:", "    print('scores', scores)\n    if mask is not None:"),
        reads={
            **ALL_RIGHT,
            "attention-map": "… and 34 more lines that your function printed; call it yourself to see all.",
        },
        ready=True,
    ),
    "a global from a cell of one's own": Accident(
        solution=spoilt("math.sqrt(head_dim)", "ROOT(head_dim)"),
        change=own_cell("ROOT = math.sqrt", after="toy-inputs"),
        reads=ALL_RIGHT,
        ready=True,
    ),
    "a global from a cell further down": Accident(
        solution=spoilt("math.sqrt(head_dim)", "ROOT(head_dim)"),
        change=own_cell("ROOT = math.sqrt", after="solution"),
        reads=ALL_RIGHT,
        ready=True,
    ),
    "a global from a cell that is gone": Accident(
        solution=spoilt("math.sqrt(head_dim)", "ROOT(head_dim)"),
        before="import math\nROOT = math.sqrt",
        reads={**ALL_RIGHT, "hand-in": "NameError: name 'ROOT' is not defined (line 3: scores = q @ k.transpose"},
    ),
    "numpy where gradients have to flow": Accident(
        solution=spoilt("    allowed = torch", "    scores = torch.from_numpy(scores.numpy())\n    allowed = torch"),
        reads=dict.fromkeys(
            ("test-contract", "test-invariants", "hand-in"),
            "look at numpy in your code: it has no bf16 and no gradients; use PyTorch's own operation there",
        ),
    ),
    "numpy where it does no harm": Accident(
        solution=spoilt("math.sqrt(head_dim)", "numpy.sqrt(head_dim)"),
        change=own_cell("import numpy", after="toy-inputs"),
        reads=ALL_RIGHT,
        ready=True,
    ),
    '"cuda" hard-coded': Accident(
        solution=spoilt("device=q.device", 'device="cuda"'),
        reads={
            **dict.fromkeys(
                ("test-contract", "judge-all", "hand-in"),
                'look at cuda() and device="cuda" in your code: device=q.device works on any machine',
            ),
            "attention-map": '----> 4 allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device="cuda").tril()',
        },
    ),
    "a tuple returned": Accident(
        solution=spoilt(LEFT_OUT, f"{LEFT_OUT}, scores"),
        reads={
            **dict.fromkeys(
                ("test-contract", "judge-all", "hand-in"),
                "look at your return statement: return the output alone, without the weights",
            ),
            "attention-map": "There is no map to draw: your function returned a tuple, not one tensor of shape "
            "[2, 6, 24].\nLook at what the check contract says.",
        },
    ),
    "another dtype returned": Accident(
        solution=spoilt(LEFT_OUT, f"{LEFT_OUT}.float()"),
        reads=dict.fromkeys(
            ("test-contract", "judge-all"),
            "look at the tensors you create or convert: give them q's dtype, or convert the output back",
        )
        | {"hand-in": "expected float16 as in q, got float32"},
    ),
    "inputs changed in place": Accident(
        solution=spoilt("    q, k, v = (", "    q *= 1.5\n    q, k, v = ("),
        reads={
            "test-contract": "passed: device",
            **dict.fromkeys(
                ("test-invariants", "judge-all", "hand-in"),
                "look at operations that end in an underscore, and += *= /= on q",
            ),
        },
    ),
    "mask forgotten": Accident(
        solution=spoilt("allowed & mask[:, None, None, :]", "allowed"),
        reads={
            "test-contract": "passed: device",
            **dict.fromkeys(
                ("test-invariants", "hand-in"),
                "look at where the mask enters: masked keys get no weight, for every head and every query",
            ),
            "judge-all": "look at the mask: which keys it takes away, and at which step",
            "attention-map": "Weight leaks into 24 masked cells",
        },
    ),
    "dropout left in": Accident(
        solution=spoilt("scores.softmax(dim=-1)", "F.dropout(scores.softmax(dim=-1), 0.1)"),
        reads={
            "test-contract": "passed: device",
            **dict.fromkeys(
                ("test-invariants", "judge-all", "hand-in"),
                "look at what is random in your function, such as dropout: it does not belong there",
            ),
        },
    ),
    **{
        f"endless loop, stopped in the cell {name}": Accident(
            solution=ENDLESS,
            runs=(*UP_TO_SOLUTION, name),
            stopped=name,
            reads={name: "while True:"},
            ready=None,
        )
        for name in ("test-contract", "attention-map", "judge-all")
    },
    "endless loop, stopped in the hand-in cell": Accident(
        solution=ENDLESS,
        runs=(*UP_TO_SOLUTION, "hand-in"),
        stopped="hand-in",
        reads={"hand-in": "fix   you stopped the visible checks before they ended; run this cell again to finish them"},
    ),
    "file not saved": Accident(
        before=RIGHT,
        runs=("setup", "hand-in"),
        change=lambda content: cell_of(content, "solution").update(cell_of(released(STEM), "solution")),
        reads={"hand-in": f"fix   {NAME} ran here, but the file still has the untouched stub: save (Ctrl+S"},
    ),
    "file saved under another name": Accident(
        file=f"{STEM}-Copy1.ipynb",
        reads={**ALL_RIGHT, "hand-in": f"fix   the file is called {STEM}-Copy1.ipynb: rename it to {STEM}.ipynb"},
    ),
    "file in another folder": Accident(
        file=f"elsewhere/{STEM}.ipynb",
        reads={**ALL_RIGHT, "hand-in": f"Save the notebook there as {STEM}.ipynb and run this cell again."},
    ),
    "no kit": Accident(
        before=NO_KIT,
        runs=("setup", "test-contract"),
        reads={
            "setup": "The learner kit is not installed for this Python, and its wheel does not lie beside this "
            "notebook.\nInstall it as the course's README says",
            "test-contract": NO_KIT_YET,
        },
        ready=None,
    ),
    "no network": Accident(
        before=NO_KIT,
        change=published_where_nobody_answers,
        runs=("setup", "test-contract"),
        reads={
            "setup": "The learner kit could not be installed: the network is out of reach.\npip: ",
            "test-contract": NO_KIT_YET,
        },
        ready=None,
    ),
    "old PyTorch": Accident(
        before="from attention_lab.environment import packages\npackages.version_of = lambda name: '2.4.1'",
        runs=("setup",),
        reads={"setup": "torch 2.4.1 is older than 2.10, the oldest that the course works with.\nUpgrade it: "},
        ready=None,
    ),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with desk() as pool:
        yield pool


@pytest.mark.parametrize("name", ACCIDENTS)
def test_accident_is_met_with_words_that_are_true_and_of_use(name, pool, tmp_path):
    accident = ACCIDENTS[name]
    content = released(STEM)
    cell_of(content, "solution")["source"] = accident.solution
    accident.change(content)
    path = tmp_path / accident.file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    cells = code_cells(content)
    if accident.runs:
        cells = [(name, dict(cells)[name]) for name in accident.runs]
    read = pool.submit(sit_down, [("before", accident.before), *cells], tmp_path, accident.stopped).result()
    for cell, words in accident.reads.items():
        assert words in read[cell], f"{cell}:\n{read[cell]}"
    for cell, words in read.items():
        assert "attention_lab/" not in words, f"the kit's frames below {cell}:\n{words}"
        assert "attention_grading/" not in words, f"the grader's frames below {cell}:\n{words}"
        if cell in LOOKED_AT:
            lines = [line for line in words.splitlines() if not line.startswith("passed: ")]
            assert len(lines) <= 20, f"{len(lines)} lines below {cell}:\n{words}"
    if accident.ready is not None:
        assert ("Ready to hand in" in read["hand-in"]) == accident.ready, read["hand-in"]
