"""The class report's figures: how assignments went, and which mistakes were made how often."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from attention_grading.judging.diagnosis.names import SENTENCES
from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks, Mark
from attention_grading.notebooks.verdict_cells import Finding

TO_TEACH = 3


@dataclass(frozen=True)
class AssignmentFigures:
    """How an assignment went.

    Attributes:
        name: Of the assignment.
        graded: Submissions with points.
        blank: Of them, those whose function was left as it was given out.
        late: Of them, those after the due date.
        missing: Students in the gradebook without a submission.
        mean: Of the scores.
        median: Of the scores.
        full: Submissions with all points.
        max_score: Points to be had.
        histogram: Submissions by score: ``histogram[k]`` had at least k points and less than k + 1.
        passed: By check, how many submissions passed it, and of how many.
    """

    name: str
    graded: int
    blank: int
    late: int
    missing: int
    mean: float
    median: float
    full: int
    max_score: float
    histogram: tuple[int, ...]
    passed: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class MistakeFigures:
    """How often a mistake was recognised.

    Attributes:
        name: Of the mistake.
        sentence: What it means, as learners read it.
        students: Who made it.
        submissions: In how many submissions.
        assignments: In how many submissions of each assignment.
    """

    name: str
    sentence: str
    students: frozenset[str]
    submissions: int
    assignments: dict[str, int]


@dataclass(frozen=True)
class Problem:
    """A submission that an instructor has to look at."""

    student: str
    assignment: str
    words: str


@dataclass(frozen=True)
class ClassReport:
    """Everything on the page.

    Attributes:
        title: The course's name.
        day: When it was made.
        students: How many are in the gradebook.
        assignments: In order.
        mistakes: The most frequent first.
        unnamed: Failed checks whose reason was not recognised.
        problems: In order of assignment and student.
        anonymous: Whether names are left out.
    """

    title: str
    day: date
    students: int
    assignments: tuple[AssignmentFigures, ...]
    mistakes: tuple[MistakeFigures, ...]
    unnamed: int
    problems: tuple[Problem, ...]
    anonymous: bool = False

    @property
    def to_teach(self) -> tuple[MistakeFigures, ...]:
        """What to teach again."""
        return self.mistakes[:TO_TEACH]


def assignment_figures(
    name: str, graded: Sequence[Mark], marks: ClassMarks, found: Iterable[Finding]
) -> AssignmentFigures:
    """Count an assignment's submissions."""
    scores = [mark.score for mark in graded]
    max_score = marks.max_scores[name]
    bins = Counter(int(score + 1e-9) for score in scores)
    passed: defaultdict[str, list[bool]] = defaultdict(list)
    for mark in graded:
        for check, (earned, points) in mark.checks.items():
            passed[check.removeprefix("test-")].append(earned >= points)
    return AssignmentFigures(
        name=name,
        graded=len(graded),
        blank=sum(one.blank for one in found),
        late=sum(mark.seconds_late > 0 for mark in graded),
        missing=len(set(marks.students) - {mark.student for mark in graded}),
        mean=statistics.fmean(scores) if scores else 0.0,
        median=statistics.median(scores) if scores else 0.0,
        full=sum(score >= max_score for score in scores),
        max_score=max_score,
        histogram=tuple(bins[points] for points in range(int(max_score) + 1)),
        passed={check: (sum(got), len(got)) for check, got in passed.items()},
    )


def mistake_figures(found: Iterable[Finding]) -> tuple[MistakeFigures, ...]:
    """Count the mistakes; the one that most students made comes first."""
    students: defaultdict[str, set[str]] = defaultdict(set)
    assignments: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        for name in one.mistakes:
            students[name].add(one.student)
            assignments[name][one.assignment] += 1
    figures = [
        MistakeFigures(name, SENTENCES[name], frozenset(students[name]), sum(each.values()), dict(sorted(each.items())))
        for name, each in assignments.items()
    ]
    return tuple(sorted(figures, key=lambda one: (-len(one.students), -one.submissions, one.name)))
