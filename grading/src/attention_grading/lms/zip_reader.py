"""Read what was handed in, from folders and zip archives, hostile ones included.

Nothing is ever unpacked by its own path: a file's bytes go into one nameless spool, its path is only data. Links,
devices, paths that lead elsewhere, encrypted, damaged and doubled entries are refused, each with its reason, and the
others go on. What would fill memory or disk is stopped by the limits below, which count bytes as they come out of an
archive and do not believe what it states.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO

from attention_lab.notebook.learner_cells import MAX_BYTES

MAX_ENTRIES = 100_000  # files and folders in one run, all archives together
MAX_TOTAL_BYTES = 4 * 2**30  # bytes read in one run, unpacked
MAX_NESTED_BYTES = 200 * 2**20  # one archive inside another: it is held in memory
MAX_DIRECTORY_BYTES = 32 * 2**20  # an archive's table of contents: zipfile reads it whole
MAX_DEPTH = 3  # a bulk download, a student's archive in it, and one in that
MAX_FOLDER_DEPTH = 30
MAX_NAME = 1000  # characters of a path in an archive; file systems allow 255 for each part
# A notebook of repeated text shrinks to a fiftieth; zip's own limit is a thousandth
MAX_RATIO = 200
RATIO_FROM_BYTES = 2**20
SPOOL_BYTES = 64 * 2**20  # beyond it the spool moves from memory to a nameless temporary file

CHUNK = 2**18
# What file managers and Jupyter leave behind
JUNK = re.compile(r"__MACOSX|\.ipynb_checkpoints|\.DS_Store|Thumbs\.db|desktop\.ini|\._.*", re.IGNORECASE)

# Without these flags (Windows) the check of the opened file still holds
_SAFE_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_UNIX_TIME = 0x5455


@dataclass(frozen=True)
class Slot:
    """Where a file's bytes lie in the spool."""

    start: int
    size: int


@dataclass(frozen=True)
class Found:
    """A file that may be read.

    Attributes:
        source: Name of the folder or archive that was given.
        parts: The path inside it; archives on the way count as folders.
        when: The time of the outermost zip entry, else the file's own; nobody vouches for it.
        when_from: Whose time that is, in words.
        slot: The bytes; ``None`` where the file was not wanted and so not read.
    """

    source: str
    parts: tuple[str, ...]
    when: datetime | None
    when_from: str
    slot: Slot | None


@dataclass(frozen=True)
class Refused:
    """Something that was not read, and why."""

    source: str
    parts: tuple[str, ...]
    reason: str


class _Refusal(Exception):
    """This entry or archive is refused; the others go on."""


class _Exhausted(Exception):
    """A limit of the whole run is reached; nothing more is read."""


class Reader:
    """Reads sources one after the other; the limits hold for all of them together.

    Args:
        wanted: Says by its name whether a file is to be read.
        skip: A folder that is left out (the one that is written to).
        zone: The time zone of times that have none, as in zip entries; ``None`` is this machine's.
    """

    def __init__(self, wanted: Callable[[str], bool], skip: Path | None = None, zone: tzinfo | None = None):
        self._wanted, self._skip, self._zone = wanted, skip, zone
        self._spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 (__exit__ closes it)
        self._end = self._entries = self._bytes = 0
        self._exhausted = False

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._spool.close()

    def keep(self, data: bytes) -> Slot:
        """Put bytes into the spool."""
        self._spool.seek(self._end)
        self._spool.write(data)
        slot = Slot(self._end, len(data))
        self._end += len(data)
        return slot

    def fetch(self, slot: Slot) -> bytes:
        """Take bytes out of the spool again."""
        self._spool.seek(slot.start)
        return self._spool.read(slot.size)

    def read(self, source: Path) -> Iterator[Found | Refused]:
        """Everything in a folder, an archive or a single file; never raises for what it finds there."""
        name = source.resolve().name
        if self._exhausted:
            yield Refused(name, (), "was not read: the limits of this run are reached")
            return
        try:
            if source.is_dir():
                yield from self._folder(name, source, ())
            else:
                yield from self._file(name, source.resolve(), ())
        except _Exhausted as reason:
            self._exhausted = True
            yield Refused(name, (), f"{reason}; the rest was not read")

    def _folder(self, source: str, folder: Path, parts: tuple[str, ...]) -> Iterator[Found | Refused]:
        if len(parts) > MAX_FOLDER_DEPTH:
            yield Refused(source, parts, f"lies more than {MAX_FOLDER_DEPTH} folders deep")
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield Refused(source, parts, f"cannot be read: {error.strerror or error}")
            return
        for entry in entries:
            path, below = Path(entry.path), (*parts, entry.name)
            if JUNK.fullmatch(entry.name):
                continue
            self._count()
            if entry.is_symlink():
                yield Refused(source, below, "is a link")
            elif entry.is_dir(follow_symlinks=False):
                if self._skip is None or path.resolve() != self._skip:
                    yield from self._folder(source, path, below)
            else:
                yield from self._file(source, path, below)

    def _file(self, source: str, path: Path, parts: tuple[str, ...]) -> Iterator[Found | Refused]:
        """A file on disk; ``parts`` is empty where it is the source itself."""
        name = path.name
        try:
            descriptor = os.open(path, _SAFE_OPEN)
        except OSError as error:
            yield Refused(source, parts, f"cannot be read: {error.strerror or error}")
            return
        with open(descriptor, "rb") as file:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                yield Refused(source, parts, "is not a regular file")
            elif is_archive(name):
                yield from self._archive(source, parts, file, 1, None)
            else:
                slot = None
                if self._wanted(name):
                    try:
                        slot = self.keep(self._take(file, MAX_BYTES, None))
                    except (_Refusal, OSError) as reason:
                        yield Refused(source, parts, str(reason))
                        return
                yield Found(source, parts or (name,), _utc_from_stamp(info.st_mtime), "file", slot)

    def _archive(
        self, source: str, parts: tuple[str, ...], file: IO[bytes], depth: int, when: datetime | None
    ) -> Iterator[Found | Refused]:
        if depth > MAX_DEPTH:
            yield Refused(source, parts, f"is an archive inside {MAX_DEPTH} others")
            return
        try:
            archive = _open(file)
        except _Refusal as reason:
            yield Refused(source, parts, str(reason))
            return
        with archive:
            infos = archive.infolist()
            names = Counter(unicodedata.normalize("NFC", info.orig_filename) for info in infos)
            for info in infos:
                self._count()
                pieces = tuple(piece for piece in info.orig_filename.split("/") if piece not in ("", "."))
                if any(JUNK.fullmatch(piece) for piece in pieces):
                    continue
                below = parts + (pieces or (info.orig_filename,))
                doubled = names[unicodedata.normalize("NFC", info.orig_filename)] > 1
                why = why_not(info) or ("is in the archive more than once" if doubled else None)
                if why is not None:
                    yield Refused(source, below, why)
                elif not info.orig_filename.endswith("/"):
                    yield from self._entry(source, below, archive, info, depth, when or self._entry_time(info))

    def _entry(
        self,
        source: str,
        parts: tuple[str, ...],
        archive: zipfile.ZipFile,
        info: zipfile.ZipInfo,
        depth: int,
        when: datetime | None,
    ) -> Iterator[Found | Refused]:
        nested = is_archive(parts[-1])
        if not nested and not self._wanted(parts[-1]):
            yield Found(source, parts, when, "zip entry", None)
            return
        try:
            with archive.open(info) as stream:
                data = self._take(stream, MAX_NESTED_BYTES if nested else MAX_BYTES, info.compress_size)
        except _Exhausted:
            raise
        except _Refusal as reason:
            yield Refused(source, parts, str(reason))
        except Exception as error:  # a damaged archive brings zlib, lzma, struct, key and I/O errors of many kinds
            yield Refused(source, parts, f"is damaged or packed in an unknown way ({error})")
        else:
            if nested:
                with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as inner:
                    inner.write(data)
                    del data
                    yield from self._archive(source, parts, inner, depth + 1, when)
            else:
                yield Found(source, parts, when, "zip entry", self.keep(data))

    def _take(self, stream: IO[bytes], limit: int, packed: int | None) -> bytes:
        chunks, size = [], 0
        while chunk := stream.read(CHUNK):
            size, self._bytes = size + len(chunk), self._bytes + len(chunk)
            if size > limit:
                raise _Refusal(f"is larger than {limit // 2**20} MB")
            if packed is not None and size > RATIO_FROM_BYTES and size > MAX_RATIO * max(packed, 1):
                raise _Refusal(f"unpacks to more than {MAX_RATIO} times its size, as a zip bomb does")
            if self._bytes > MAX_TOTAL_BYTES:
                raise _Exhausted(f"holds more than {MAX_TOTAL_BYTES // 2**20} MB")
            chunks.append(chunk)
        return b"".join(chunks)

    def _count(self) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise _Exhausted(f"holds more than {MAX_ENTRIES} files")

    def _entry_time(self, info: zipfile.ZipInfo) -> datetime | None:
        """The entry's time: in UTC where it says so, else the local time that it was packed at."""
        extra = info.extra
        while len(extra) >= 4:
            kind, size = struct.unpack("<HH", extra[:4])
            if kind == _UNIX_TIME and size >= 5 and len(extra) >= 9 and extra[4] & 1:
                return _utc_from_stamp(struct.unpack("<i", extra[5:9])[0])
            extra = extra[4 + size :]
        try:
            return to_utc(datetime(*info.date_time), self._zone)
        except (ValueError, TypeError):
            return None


def is_archive(name: str) -> bool:
    """Whether a file is opened as an archive; by its name, since documents of many kinds are zip files inside."""
    return name.casefold().endswith(".zip")


def why_not(info: zipfile.ZipInfo) -> str | None:
    """Why an entry is refused before it is read; ``None`` where it is not."""
    name, mode = info.orig_filename, info.external_attr >> 16
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "has control characters in its name"
    if "\\" in name:
        return "has backslashes in its name"
    if len(name) > MAX_NAME:
        return f"has a path of more than {MAX_NAME} characters"
    if ".." in name.split("/"):
        return "has a path that leads out of the archive (..)"
    if not name.strip("/. "):
        return "has no name"
    if name.startswith("/"):
        return "has an absolute path"
    if re.match(r"[A-Za-z]:", name):
        return "has a drive letter in its path"
    if stat.S_ISLNK(mode):
        return "is a link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is not a regular file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    return None


def to_utc(when: datetime, zone: tzinfo | None) -> datetime | None:
    """A time without a zone, read in ``zone`` (``None``: this machine's); ``None`` where there is no such time."""
    try:
        return (when.replace(tzinfo=zone) if zone else when.astimezone()).astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _utc_from_stamp(seconds: float) -> datetime | None:
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _open(file: IO[bytes]) -> zipfile.ZipFile:
    """Open an archive whose table of contents may be read.

    Raises:
        _Refusal: It is none, is damaged, or states what no honest archive does.
    """
    try:
        if _directory_bytes(file) > MAX_DIRECTORY_BYTES:
            raise _Refusal(f"has a table of contents of more than {MAX_DIRECTORY_BYTES // 2**20} MB")
        size = file.seek(0, os.SEEK_END)
        archive = zipfile.ZipFile(file)
    except _Refusal:
        raise
    except Exception as error:  # see _entry
        raise _Refusal(f"is not a zip archive, or is damaged ({error})") from error
    if sum(info.compress_size for info in archive.infolist()) > size:
        archive.close()
        raise _Refusal("has entries that lie on one another, as a zip bomb does")
    return archive


def _directory_bytes(file: IO[bytes]) -> int:
    """How much ``zipfile`` would read at once; its place is fixed, from the end of the file."""
    record, locator, record_64 = 22, 20, 56
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - record - 2**16))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + record > len(tail):
        raise _Refusal("is not a zip archive, or is damaged (its end is missing)")
    stated = int.from_bytes(tail[at + 12 : at + 16], "little")
    large = at - locator - record_64
    if large >= 0 and tail[at - locator : at].startswith(b"PK\x06\x07"):
        return max(stated if stated != 0xFFFFFFFF else 0, int.from_bytes(tail[large + 40 : large + 48], "little"))
    return stated
