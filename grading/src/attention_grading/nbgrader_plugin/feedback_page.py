"""The page that a student gets back: nbgrader's own, with the checks by name, and nothing that runs off its edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbconvert.exporters import HTMLExporter
from traitlets.config import Config

from attention_grading.nbgrader_plugin.page_code import FILTERS

TEMPLATES = Path(__file__).parent / "templates"


class FeedbackExporter(HTMLExporter):
    """Writes nbgrader's feedback through this course's template, which extends nbgrader's.

    Formgrader's pages have templates of their own, so the choice is made here and not in the configuration.
    """

    def __init__(self, config: Config | None = None, **options: Any):
        config = Config(config or {})
        config.FeedbackExporter.template_name = "feedback_page"
        config.FeedbackExporter.extra_template_basedirs = [str(TEMPLATES)]
        config.FeedbackExporter.filters = FILTERS
        # nbgrader's own, where the template finds feedback/index.html.j2 and its style sheet
        config.FeedbackExporter.extra_template_paths = [
            *config.HTMLExporter.extra_template_paths,
            *config.HTMLExporter.extra_template_basedirs,
        ]
        super().__init__(config=config, **options)
