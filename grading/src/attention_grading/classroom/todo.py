"""What there is to grade: what was handed in and is not graded as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from attention_grading.classroom.fingerprint import fingerprint, stamp_of, versions, versions_of
from attention_grading.classroom.gradebook_writer import GradebookWriter, Known, seconds_late
from attention_grading.classroom.handed_in import HandedIn, find_handed_in, read_masters
from attention_grading.classroom.progress import RunSummary
from attention_grading.course_file import CourseProblem
from attention_grading.nbgrader_plugin.course import NbgraderCourse
from attention_grading.text import plain


def handed_in_assignments(course: NbgraderCourse) -> list[str]:
    """Names of the instructor's assignments for which there are submissions."""
    found = [name for name in _assignments(course) if next(find_handed_in(course, name), None) is not None]
    if not found:
        raise CourseProblem(f"there are no submissions: nothing matches {course.folder('submitted', '*', '*')}")
    return found


def _assignments(course: NbgraderCourse) -> list[str]:
    sources = course.folder("source", ".", ".")
    return sorted(path.name for path in sources.iterdir() if path.is_dir()) if sources.is_dir() else []


def require_gradable(course: NbgraderCourse, recorder: GradebookWriter, name: str) -> None:
    if (there := _assignments(course)) and name not in there:
        raise CourseProblem(f"there is no assignment {name}; there are: {', '.join(there)}")
    read_masters(course, name, recorder.assignment(name).notebooks)
    if next(find_handed_in(course, name), None) is None:
        raise CourseProblem(f"there are no submissions of {name}: {course.folder('submitted', '*', name)}")


def to_grade(
    course: NbgraderCourse,
    recorder: GradebookWriter,
    names: Iterable[str],
    students: set[str],
    force: bool,
    report: RunSummary,
    write: bool = True,
) -> Iterator[HandedIn]:
    """The submissions that are new or changed; of others that are late, the penalty follows a score by hand.

    Those that other versions of the packages graded are not changed by that; a line counts them.

    Args:
        course: The course.
        recorder: Knows what is graded.
        names: The assignments.
        students: These alone, where some are named.
        force: Whether what has not changed is graded, too.
        report: What has not changed, and what is to be said of it, is added to it.
        write: Whether penalties are written.
    """
    missing = set(students)
    now = versions(course.terms.version)
    for name in names:
        by: Counter[str] = Counter()
        known = recorder.known(name)
        masters = read_masters(course, name, recorder.assignment(name).notebooks)
        for handed_in in find_handed_in(course, name):
            if students and handed_in.student not in students:
                continue
            missing.discard(handed_in.student)
            if not force and _is_unchanged(course, recorder, handed_in, masters, known.get(handed_in.student)):
                report.unchanged[name] += 1
                by[versions_of(course.folder("autograded", handed_in.student, name))] += 1
                late = seconds_late(course, recorder.assignment(name), handed_in.folder, known[handed_in.student])
                said = recorder.renew_penalty(handed_in, write) if late > 0 else []
                report.problems[name] += bool(said)
                report.lines += [f"{recorder.called(handed_in.student)}, {name}: {line}" for line in said]
                continue
            yield handed_in
        for then, count in by.items():
            if then != now:
                were = "1 submission was" if count == 1 else f"{count} submissions were"
                report.lines.append(
                    f"{name}: {were} graded by {plain(then, 100)}; this is {now}. Their grades stay; "
                    "--force grades them again."
                )
    if missing:
        raise CourseProblem(f"there are no submissions by {', '.join(sorted(missing))}")


def _is_unchanged(
    course: NbgraderCourse, recorder: GradebookWriter, handed_in: HandedIn, masters: list[str], known: Known | None
) -> bool:
    """Whether it is graded as it is, in gradebook and folder."""
    stamp = stamp_of(course.folder("autograded", handed_in.student, handed_in.assignment))
    if stamp is None or known is None:
        return False
    try:
        late = seconds_late(course, recorder.assignment(handed_in.assignment), handed_in.folder, known)
        return fingerprint(handed_in.folder, masters, course.terms, late, course.late_rule) == stamp
    except (OSError, ValueError):
        return False  # grading says what is wrong with it
