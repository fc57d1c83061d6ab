"""The class report's figures: how assignments went, and which mistakes were made how often."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from attention_grading.judging.diagnosis.names import SENTENCES
from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks, Mark
from attention_grading.nbgrader_plugin.left_aside import Aside
from attention_grading.notebooks.verdict_cells import Finding
from attention_grading.report.same_answers import SameAnswers
from attention_grading.text import plain

TO_TEACH = 3


@dataclass(frozen=True)
class AssignmentFigures:
    """How an assignment went.

    Attributes:
        name: Of the assignment.
        graded: Submissions with points.
        blank: Of them, those whose function was left as it was given out.
        late: Of them, those after the due date.
        missing: Students in the gradebook who handed in nothing.
        aside: Students who handed in something else than a notebook of it, and what.
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
    missing: tuple[str, ...]
    aside: tuple[tuple[str, str], ...]
    mean: float
    median: float
    full: int
    max_score: float
    histogram: tuple[int, ...]
    passed: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class MistakeFigures:
    """Who made a mistake.

    Attributes:
        name: Of the mistake; empty where it was not recognised.
        sentence: What it means, or what the failed check said, as learners read it.
        who: By assignment, the students in whose submissions it was found.
    """

    name: str
    sentence: str
    who: dict[str, tuple[str, ...]]

    @property
    def students(self) -> frozenset[str]:
        """Each student once, in however many assignments."""
        return frozenset(student for each in self.who.values() for student in each)

    @property
    def submissions(self) -> int:
        return sum(map(len, self.who.values()))


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
        nameless: Failures whose reason was not recognised, by what they say; the most frequent first.
        problems: In order of assignment and student.
        anonymous: Whether names are left out.
        same_answers: Answers that are the same; ``None`` where nobody asked.
    """

    title: str
    day: date
    students: int
    assignments: tuple[AssignmentFigures, ...]
    mistakes: tuple[MistakeFigures, ...]
    nameless: tuple[MistakeFigures, ...]
    problems: tuple[Problem, ...]
    anonymous: bool = False
    same_answers: tuple[SameAnswers, ...] | None = None

    @property
    def to_teach(self) -> tuple[MistakeFigures, ...]:
        """What to teach again: what one student did is for that student's feedback."""
        return tuple(one for one in self.mistakes if len(one.students) > 1)[:TO_TEACH]


def assignment_figures(
    name: str, graded: Sequence[Mark], marks: ClassMarks, found: Sequence[Finding], aside: Iterable[Aside]
) -> AssignmentFigures:
    """Count an assignment's submissions.

    Args:
        name: Of the assignment.
        graded: Its submissions with points.
        marks: The gradebook.
        found: What its graded notebooks say, and who waits to be graded.
        aside: What was handed in and not taken.
    """
    handed_in = {mark.student for mark in graded} | {one.student for one in found}
    others = {
        one.student: f"{one.file}: {one.details}"
        for one in aside
        if one.assignment in (name, "") and one.student not in handed_in
    }
    scores = [mark.score for mark in graded]
    max_score = marks.max_scores[name]
    bins = Counter(int(score + 1e-9) for score in scores)
    passed: defaultdict[str, list[bool]] = defaultdict(list)
    for mark in graded:
        for check, (earned, points) in mark.checks.items():
            if points > 0:
                passed[check.removeprefix("test-")].append(earned >= points)
    return AssignmentFigures(
        name=name,
        graded=len(graded),
        blank=sum(one.blank for one in found),
        late=sum(mark.seconds_late > 0 for mark in graded),
        missing=tuple(sorted(map(marks.called, set(marks.students) - handed_in - set(others)))),
        aside=tuple(sorted((marks.called(student), what) for student, what in others.items())),
        mean=statistics.fmean(scores) if scores else 0.0,
        median=statistics.median(scores) if scores else 0.0,
        full=sum(score >= max_score for score in scores),
        max_score=max_score,
        histogram=tuple(bins[points] for points in range(int(max_score) + 1)),
        passed={check: (sum(got), len(got)) for check, got in passed.items()},
    )


def mistake_figures(found: Iterable[Finding]) -> tuple[MistakeFigures, ...]:
    """Who made which of the mistakes that have a name; the one that most students made comes first."""
    return _by_frequency((one, {name: (name, SENTENCES[name]) for name in one.mistakes}) for one in found)


def nameless_figures(found: Iterable[Finding]) -> tuple[MistakeFigures, ...]:
    """The same for failures without a name: those that say the same are one."""
    return _by_frequency((one, {words: ("", words) for words in one.unnamed.values()}) for one in found)


def _by_frequency(found: Iterable[tuple[Finding, dict[str, tuple[str, str]]]]) -> tuple[MistakeFigures, ...]:
    """Count, with each finding, the name and the sentence of what is in it."""
    named: dict[str, tuple[str, str]] = {}
    who: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one, seen in found:
        named |= seen
        for key in seen:
            who[key][one.assignment].append(plain(one.student, 300))
    figures = [
        MistakeFigures(*named[key], {name: tuple(sorted(each)) for name, each in sorted(by_assignment.items())})
        for key, by_assignment in who.items()
    ]
    return tuple(sorted(figures, key=lambda one: (-len(one.students), -one.submissions, one.name, one.sentence)))
