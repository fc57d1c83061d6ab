"""Archives and folders that mean harm."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile

import pytest

from attention_grading.lms import zip_reader
from attention_grading.lms.candidates import Reading
from attention_grading.lms.intake import intake
from attention_grading.lms.owners.answers import Answers
from support.platforms.downloads import GOOD, STEM, notebook, placed, where, with_entry, zipped

STUDENT_FOLDER = 1  # whose a file is, is not the question here


def encrypted() -> bytes:
    data = bytearray(with_entry(f"student-b/{STEM}.ipynb", notebook()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rfind(signature) + offset] |= 1
    return bytes(data)


def damaged() -> bytes:
    data = bytearray(with_entry(f"student-b/{STEM}.ipynb", notebook()))
    middle = (data.rfind(b"PK\x03\x04") + data.find(b"PK\x01\x02")) // 2
    data[middle : middle + 40] = bytes(40)
    return bytes(data)


def doubled() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(GOOD, notebook())
        archive.writestr(f"student-b/{STEM}.ipynb", notebook(mark="one"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(f"student-b/{STEM}.ipynb", notebook(mark="two"))
    return file.getvalue()


def deep() -> bytes:
    data = zipped({f"{STEM}.ipynb": notebook()})
    for _ in range(3):
        data = zipped({"student-b.zip": data})
    return with_entry("student-b.zip", data)


HOSTILE = {
    "absolute": (lambda: with_entry(f"/tmp/{STEM}.ipynb", notebook()), "absolute path"),
    "parent": (lambda: with_entry(f"x/../../{STEM}.ipynb", notebook()), "leads out"),
    "backslash": (lambda: with_entry(f"..\\..\\{STEM}.ipynb", notebook()), "backslashes"),
    "drive": (lambda: with_entry(f"C:/{STEM}.ipynb", notebook()), "drive letter"),
    "long": (lambda: with_entry("x" * 5000 + ".ipynb", notebook()), "more than 1000 characters"),
    "control": (lambda: with_entry(f"student-b\n/{STEM}.ipynb", notebook()), "control characters"),
    "link": (
        lambda: with_entry(f"student-b/{STEM}.ipynb", b"/etc/passwd", external_attr=0o120777 << 16, create_system=3),
        "is a link",
    ),
    "device": (lambda: with_entry(f"student-b/{STEM}.ipynb", external_attr=0o020666 << 16), "not a regular file"),
    "encrypted": (encrypted, "^is encrypted$"),
    "damaged": (damaged, "damaged"),
    "doubled": (doubled, "more than once"),
    "bomb": (lambda: with_entry(f"student-b/{STEM}.ipynb", b" " * (8 * 2**20)), "zip bomb"),
    "large": (lambda: with_entry(f"student-b/{STEM}.ipynb", os.urandom(2**16) * 801), "larger than 50 MB"),
    "nested bomb": (lambda: with_entry("student-b.zip", zipped({"x.ipynb": bytes(2**28)})), "zip bomb"),
    "nested damaged": (lambda: with_entry("student-b.zip", b"PK\x03\x04 no zip"), "not a zip archive"),
    "deep": (deep, "inside 3 others"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_entry_is_refused_with_its_reason_and_the_others_go_on(take, tmp_path, case):
    make, reason = HOSTILE[case]
    before = set(tmp_path.parent.rglob("*"))
    lines = take(make())
    assert placed(tmp_path) == {where("student-a"): notebook()}
    rejected = [line for line in lines.values() if line.status == "rejected"]
    assert rejected
    assert all(re.search(reason, line.details[0]) for line in rejected)
    new = {path.relative_to(tmp_path).parts[0] for path in set(tmp_path.parent.rglob("*")) - before}
    assert new == {"submissions.zip", "submitted"}


def overlapping() -> bytes:
    """Many entries that share one body."""
    data = zipped({f"a/{STEM}.ipynb": os.urandom(5000)})
    start = data.find(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    entry = data[start:end]
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", 50, 50)
    tail[12:16] = struct.pack("<I", len(entry) * 50)
    return data[:start] + entry * 50 + bytes(tail)


def large_directory() -> bytes:
    data = bytearray(zipped({GOOD: notebook()}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = struct.pack("<I", 2**31)
    return bytes(data)


def large_directory_64() -> bytes:
    data = zipped({GOOD: notebook()})
    at = data.rfind(b"PK\x05\x06")
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<IIQI", 0x07064B50, 0, at, 1)
    return data[:at] + record + locator + data[at:]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"hello", "not a zip archive"),
        (lambda: zipped({GOOD: notebook()})[:-30], "not a zip archive"),
        (lambda: zipped({GOOD: notebook()}).replace(b"PK\x01\x02", b"PK\x01\x03"), "not a zip archive"),
        (overlapping, "lie on one another"),
        (large_directory, "table of contents"),
        (large_directory_64, "table of contents"),
    ],
)
def test_archive_that_is_none_or_means_harm_is_refused_whole(take, tmp_path, make, reason):
    (line,) = take(make()).values()
    assert line.status == "rejected"
    assert reason in line.details[0]
    assert placed(tmp_path) == {}


@pytest.mark.parametrize(("limit", "value"), [("MAX_ENTRIES", 3), ("MAX_TOTAL_BYTES", 3 * len(notebook()))])
def test_limits_of_the_run_stop_it_and_what_was_read_is_taken(take, tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(zip_reader, limit, value)
    lines = take({f"student-{number}/{STEM}.ipynb": notebook(mark="x") for number in range(9)})
    assert "the rest was not read" in lines["submissions.zip"].details[0]
    assert 1 <= len(placed(tmp_path)) <= 3


def test_links_pipes_and_unreadable_things_in_a_folder_are_refused(take, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(notebook(mark="secret"))
    folder = tmp_path / "downloads" / "student-b"
    folder.mkdir(parents=True)
    (folder / f"{STEM}.ipynb").symlink_to(secret)
    (tmp_path / "downloads" / "student-c").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.ipynb")
    lines = take({GOOD: notebook()}, "downloads")
    assert placed(tmp_path) == {where("student-a"): notebook()}
    assert lines[f"student-b/{STEM}.ipynb"].details == ("is a link",)
    assert lines["student-c"].details == ("is a link",)
    assert lines["student-b/pipe.ipynb"].details == ("is not a regular file",)


def test_folder_that_is_written_to_is_not_read(tmp_path):
    (tmp_path / "student-a").mkdir()
    (tmp_path / GOOD).write_bytes(notebook())
    for _ in range(2):
        lines = intake([tmp_path], tmp_path / "submitted", Reading(answers=Answers(1)))
        assert len(lines) == 1
    assert lines[0].status == "already there"
