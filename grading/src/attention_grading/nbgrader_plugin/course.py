"""A course as nbgrader sees it: its configuration, folders and converter, read from the course root."""

from __future__ import annotations

import logging
import marshal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from inspect import isfunction
from pathlib import Path
from typing import Any

from nbgrader.apps.autogradeapp import AutogradeApp
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import BasePlugin
from nbgrader.preprocessors import AssignLatePenalties, LimitOutput, SaveAutoGrades
from traitlets.log import get_logger

from attention_grading.course_file import CourseProblem
from attention_grading.nbgrader_plugin.configuration import CONFIG, configured
from attention_grading.nbgrader_plugin.folders import course_folder
from attention_grading.nbgrader_plugin.preprocessors import ShowOutputs, SubmissionExporter, Transplant, WriteVerdict
from attention_grading.nbgrader_plugin.rules import JudgingRules
from attention_grading.notebooks.grade import GradingTerms

_SANITIZE = [Transplant]
_AUTOGRADE = [ShowOutputs, WriteVerdict, LimitOutput, SaveAutoGrades, AssignLatePenalties]
_NEEDED = [WriteVerdict, SaveAutoGrades]


@dataclass(frozen=True)
class NbgraderCourse:
    """What grading needs to know of a course.

    Attributes:
        converter: nbgrader's own, configured: hooks, permissions, what is not to be overwritten.
        rules: Limits, seed and confinement.
        terms: What holds for all submissions of a run.
        log: Where nbgrader and the course's hooks say what they have to say.
    """

    converter: Autograde
    rules: JudgingRules
    terms: GradingTerms
    log: logging.Logger

    @property
    def coursedir(self) -> CourseDirectory:
        return self.converter.coursedir

    def folder(self, step: str, student: str, assignment: str) -> Path:
        """A folder of the course, see ``course_folder``."""
        return course_folder(self.coursedir, step, student, assignment)

    @cached_property
    def late_rule(self) -> str:
        """What lateness costs here, as text that is another where the rule is: its options, and its own code."""
        if AssignLatePenalties not in self.converter.autograde_preprocessors:
            return ""
        step = AssignLatePenalties(parent=self.converter)
        step.init_plugin()
        plugin = step.plugin_inst
        kinds = [kind for kind in type(plugin).__mro__ if kind not in BasePlugin.__mro__]
        own = [each for kind in kinds for each in vars(kind).values() if isfunction(each)]
        # version 2 of the format: later ones depend on who else holds a constant
        return repr((sorted(plugin.trait_values(config=True).items()), [marshal.dumps(f.__code__, 2) for f in own]))

    @contextmanager
    def hear(self) -> Iterator[list[str]]:
        """The warnings that nbgrader and the hooks log while the block runs; they go nowhere else."""
        said = _Listener()
        loggers = {_logger(self.log), _logger(get_logger())}
        before = {logger: (logger.handlers, logger.propagate) for logger in loggers}
        for logger in loggers:
            logger.handlers, logger.propagate = [said], False
        try:
            yield said.lines
        finally:
            for logger, (handlers, propagate) in before.items():
                logger.handlers, logger.propagate = handlers, propagate


def _logger(log: logging.Logger | logging.LoggerAdapter[Any]) -> logging.Logger:
    """What writes; traitlets allows an adapter before it."""
    if isinstance(log, logging.Logger):
        return log
    logger: logging.Logger = log.logger
    return logger


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def load_course(
    root: Path, *, verdict_only: bool = False, allow_unconfined: bool = False, draw: bool = True
) -> NbgraderCourse:
    """Read the configuration as ``nbgrader autograde`` would, in the course root.

    Args:
        root: The course root; it becomes the working directory, as nbgrader has it.
        verdict_only: Leave out the pictures.
        allow_unconfined: Grade also where code cannot be confined, whatever the configuration says.
        draw: Whether a missing seed is drawn; without, an empty one stands for it, and nothing must be graded.

    Raises:
        CourseProblem: There is no configuration, it is broken, or it grades in another way than this pipeline.
        SeedMissing: The seed's file is gone although submissions have been graded.
    """
    app = configured(AutogradeApp, root, logging.WARNING)
    converter = Autograde(coursedir=app.coursedir, parent=app)
    _require_known_steps(converter)
    steps = converter.autograde_preprocessors
    rules = JudgingRules(config=app.config)
    if allow_unconfined:
        rules.allow_unconfined = True
    limit = LimitOutput(config=app.config)
    limited = limit.enabled and LimitOutput in steps
    terms = GradingTerms(
        judging=rules.terms(app.coursedir, draw=draw),
        verdict_only=verdict_only or ShowOutputs not in steps,
        max_lines=limit.max_lines if limited else -1,
        max_traceback=limit.max_traceback if limited else -1,
    )
    return NbgraderCourse(converter, rules, terms, app.log)


def _require_known_steps(converter: Autograde) -> None:
    """Refuse a configuration whose steps are not the pipeline's: the scores would not be nbgrader's."""
    steps = converter.autograde_preprocessors
    known = [step for step in _AUTOGRADE if step in steps]
    if (
        converter.exporter_class is not SubmissionExporter
        or list(converter.sanitize_preprocessors) != _SANITIZE
        or list(steps) != known
        or any(step not in steps for step in _NEEDED)
    ):
        names = ", ".join(step.__name__ for step in [*_SANITIZE, *_AUTOGRADE])
        raise CourseProblem(
            f"{CONFIG} autogrades by other steps than {names} (in this order; ShowOutputs, LimitOutput and "
            "AssignLatePenalties may be left out). Only those can be done in parallel; for others: nbgrader autograde"
        )
