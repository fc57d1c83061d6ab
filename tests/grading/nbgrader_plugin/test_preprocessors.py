"""What ``nbgrader autograde`` makes of a submission before it is graded."""

from __future__ import annotations

import json

from attention_grading.nbgrader_plugin.preprocessors import SubmissionExporter
from attention_grading.nbgrader_plugin.rules import JudgingRules
from attention_grading.notebooks.transplant import BROKEN
from support.large_notebooks import notebook

STEM = "02_eager_causal"


def test_nbgraders_own_command_obeys_the_option(tmp_path, monkeypatch):
    path = tmp_path / f"{STEM}.ipynb"
    path.write_text(notebook(code=30))
    rules = JudgingRules(code_cells=29)
    monkeypatch.setattr(JudgingRules, "instance", lambda **_: rules)
    exporter = SubmissionExporter.__new__(SubmissionExporter)
    super(SubmissionExporter, exporter).__init__()
    text, _ = exporter.from_filename(str(path))
    assert "more than 29" in json.loads(text)["metadata"][BROKEN]
