"""How nbgrader works in this course. nbgrader, Formgrader and Validate read it from the course root."""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    GetGrades,
    LimitOutput,
    LockCells,
    SaveAutoGrades,
    SaveCells,
)

from attention_grading.nbgrader_plugin.clean_submission import prepare_submission
from attention_grading.nbgrader_plugin.feedback_page import FeedbackExporter
from attention_grading.nbgrader_plugin.page_code import FILTERS
from attention_grading.nbgrader_plugin.preprocessors import (
    FillPlaceholders,
    ShowOutputs,
    SubmissionExporter,
    Transplant,
    WriteVerdict,
)

c = get_config()  # noqa: F821 (traitlets provides it)

# nbgrader calls `alembic` by name: find this environment's, activated or not
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# ---- course ----------------------------------------------------------------------------------------------------------
root = Path(__file__).resolve().parent
c.CourseDirectory.course_id = "attention"
c.CourseDirectory.root = str(root)
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".*"]

# The zone in which due dates are given and times are shown, by intake, feedback pages and Formgrader
# c.NbGraderAPI.timezone = "Europe/Berlin"

# nbgrader warns in yellow unless the exchange is a writable folder: keep it inside the course root
c.Exchange.root = str(root / "exchange")
(root / "exchange").mkdir(exist_ok=True)

# ---- release ---------------------------------------------------------------------------------------------------------
c.GenerateAssignment.preprocessors = [
    FillPlaceholders,  # badges, links and the install line, from course.toml
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
]
c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("Write your solution here, then run this cell again.")'
}

# ---- autograde -------------------------------------------------------------------------------------------------------
c.Autograde.pre_convert_hook = prepare_submission  # sets links and the like aside, finds a renamed notebook
c.Autograde.exporter_class = SubmissionExporter  # reads broken files too
c.Autograde.sanitize_preprocessors = [Transplant]  # rebuilds the notebook from source/
c.Autograde.autograde_preprocessors = [
    ShowOutputs,  # runs the ungraded cells in a process apart, for their pictures
    WriteVerdict,  # judges in a process apart
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
]
c.JudgingRules.seconds = 30  # wall-clock limit for judging one submission, and again for its pictures
c.JudgingRules.memory_mb = 2048
c.JudgingRules.output_characters = 40_000
c.JudgingRules.output_pictures = 30
c.JudgingRules.code_cells = 2000  # a notebook with more code cells gets 0 points, and says why
c.JudgingRules.seed_file = str(root / ".grading_seed")  # secret; drawn at the first grading, keep a backup
c.JudgingRules.allow_unconfined = False  # True: grade where the platform cannot confine code (see SECURITY.md)
c.LimitOutput.max_lines = 200
c.LimitOutput.max_traceback = 60

# ---- feedback --------------------------------------------------------------------------------------------------------
# Stock feedback shows hidden tests twice; here they are cleared before the page is written
c.GenerateFeedback.preprocessors = [GetGrades, ClearHiddenTests, CSSHTMLHeaderPreprocessor]
c.GenerateFeedback.exporter_class = FeedbackExporter  # names the checks, and fits a narrow window
c.HTMLExporter.filters = FILTERS  # Formgrader too colours no code that takes long, and cuts no line at the edge
