"""The class report's figures."""

from __future__ import annotations

from attention_grading.nbgrader_plugin.gradebook_reader import ClassMarks, Mark
from attention_grading.nbgrader_plugin.left_aside import Aside
from attention_grading.notebooks.verdict_cells import Finding
from attention_grading.report.figures import AssignmentFigures, assignment_figures, mistake_figures, nameless_figures


def test_the_mistake_of_most_students_comes_first():
    found = [
        Finding("s1", "a", ("missing-scale", "mask-ignored")),
        *(Finding("s1", other, ("missing-scale",)) for other in "bcd"),
        Finding("s2", "a", ("mask-ignored",)),
        Finding("s3", "a", ("mask-ignored",)),
        Finding("s3", "b", ("qk-swapped",)),
    ]
    first, second, third = mistake_figures(found)
    assert (first.name, len(first.students), first.submissions) == ("mask-ignored", 3, 3)
    assert (second.name, len(second.students), second.who) == ("missing-scale", 1, dict.fromkeys("abcd", ("s1",)))
    assert third.name == "qk-swapped"


def test_late_missing_and_fractions_are_counted():
    marks = [
        Mark("s1", "a", 10, 10, checks={"test-values": (2, 2)}),
        Mark("s2", "a", 9.5, 10, penalty=0.5, seconds_late=60, checks={"test-values": (2, 2)}),
        Mark("s3", "a", 0, 10, checks={"test-values": (0, 2)}),
    ]
    names = {f"s{number}": "" for number in range(1, 8)} | {"s4": "Dot Day", "s5": "Eve East"}
    everybody = ClassMarks({"a": {mark.student: mark for mark in marks}}, {"a": 10.0}, tuple(names), names)
    aside = [Aside("s5", "a", "x.zip/essay.pdf", "is not a notebook"), Aside("s1", "a", "b.pdf", "is not a notebook")]
    aside += [Aside("s6", "", "all.7z", "is an archive"), Aside("s7", "b", "c.pdf", "is not a notebook")]
    found = [Finding("s3", "a", blank=True), Finding("s7", "a", problems=("was handed in and has not been graded",))]
    figures = assignment_figures("a", marks, everybody, found, aside)
    assert figures == AssignmentFigures(
        *("a", 3, 1, 1, ("Dot Day (s4)",)),
        (("Eve East (s5)", "x.zip/essay.pdf: is not a notebook"), ("s6", "all.7z: is an archive")),
        *(6.5, 9.5, 1, 10.0, (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1), {"values": (2, 3)}),
    )


def test_a_check_that_is_worth_nothing_is_passed_by_nobody():
    marks = [Mark("s1", "a", 0, 2, checks={"test-values": (0, 2), "test-kernel": (0, 0)})]
    everybody = ClassMarks({"a": {"s1": marks[0]}}, {"a": 2.0}, ("s1",))
    assert assignment_figures("a", marks, everybody, [], []).passed == {"values": (0, 1)}


def test_failures_without_a_name_are_counted_by_what_they_say():
    found = [
        Finding("s1", "a", unnamed={"values": "the output is wrong", "masking": "the output is wrong"}),
        Finding("s2", "a", unnamed={"values": "the output is wrong"}),
        Finding("s2", "b", unnamed={"contract": "your function raised an error: IndexError"}),
    ]
    first, second = nameless_figures(found)
    assert (first.sentence, first.who) == ("the output is wrong", {"a": ("s1", "s2")})
    assert (second.sentence, second.who) == ("your function raised an error: IndexError", {"b": ("s2",)})
