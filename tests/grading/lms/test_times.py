"""When a file was handed in."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from attention_grading.lms.candidates import Times
from support.platforms.downloads import PACKED, STEM, notebook, placed, stamp, where, zipped

STUDENT_FOLDER = 1  # whose a file is, is not the question here


def test_zip_entry_time_is_read_in_the_time_zone(take, tmp_path):
    take({f"student-a/{STEM}.ipynb": notebook()}, times=Times(ZoneInfo("America/New_York")))
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 16, 30)


def test_zip_entry_time_in_utc_is_preferred(take, tmp_path):
    info = zipfile.ZipInfo(f"student-a/{STEM}.ipynb", PACKED)
    moment = int(datetime(2026, 9, 30, 8, tzinfo=UTC).timestamp())
    info.extra = struct.pack("<HHBi", 0x5455, 5, 1, moment)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, notebook())
    take(file.getvalue(), times=Times(ZoneInfo("America/New_York")))
    assert stamp(tmp_path, "student-a") == datetime(2026, 9, 30, 8)


def test_time_inside_a_students_own_archive_does_not_count(take, tmp_path):
    early = zipped({f"{STEM}.ipynb": notebook()}, (2020, 1, 1, 0, 0, 0))
    take({"student-a.zip": early, f"student-b/{STEM}.ipynb": notebook()}, times=Times(UTC))
    assert stamp(tmp_path, "student-a") == datetime(*PACKED)


def test_file_time_counts_in_a_folder(take, tmp_path):
    path = tmp_path / "downloads" / "student-a" / f"{STEM}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(notebook())
    os.utime(path, (0, datetime(2026, 10, 1, 9, tzinfo=UTC).timestamp()))
    line = take({}, "downloads")[f"student-a/{STEM}.ipynb"]
    assert stamp(tmp_path, "student-a") == datetime(2026, 10, 1, 9)
    assert line.time_from == "file"


def test_impossible_times_are_left_out(take, tmp_path):
    data = bytearray(zipped({f"student-a/{STEM}.ipynb": notebook()}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 12 : at + 16] = b"\xff\xff\xff\xff"
    take(bytes(data))
    assert where("student-a") in placed(tmp_path)
    assert stamp(tmp_path, "student-a") is None
