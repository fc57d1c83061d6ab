"""Students are found by a pattern of names."""

from __future__ import annotations

from attention_grading.nbgrader_plugin.folders import student_folders

STEM = "02_eager_causal"


def test_students_are_found_in_a_course_with_brackets_in_its_path(tmp_path):
    for student in ("ann", "[b]ob"):
        (tmp_path / "course [2026]" / "submitted" / student / STEM).mkdir(parents=True)
    (tmp_path / "course 2" / "submitted" / "stranger" / STEM).mkdir(parents=True)
    pattern = tmp_path / "course [2026]" / "submitted" / "*" / STEM
    assert [student for student, _ in student_folders(pattern)] == ["[b]ob", "ann"]
