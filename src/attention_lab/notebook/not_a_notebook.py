"""What a file is that was handed in as a notebook and is none, in words that say what to do."""

from __future__ import annotations

import json
import re
from typing import Any

_CONFLICT = re.compile(r"^(?:<{7} .*|>{7} .*|={7})$", re.MULTILINE)
_WEB_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_GIT_LFS = "version https://git-lfs.github.com/spec/"
_LINK = re.compile(r"\s*(?:\[InternetShortcut\]|https?://\S+\s*$)", re.IGNORECASE)
# What Drive's program for the desktop writes in the place of a file that stays in the cloud
_SHORTCUT_KEYS = {"doc_id", "resource_id", "resource_key", "url"}
LINK = (
    "it is a link or a shortcut to a notebook that stayed where it was; download the notebook itself (in Colab: File, "
    "Download, .ipynb) and hand that in"
)


def what_it_is(text: str, error: Exception) -> str:
    """What a text is that is no JSON, in words that follow "the notebook is broken:".

    Args:
        text: The file's text.
        error: What the JSON parser said.
    """
    if not text.strip():
        return "the file is empty; open your notebook, save it, check it, and hand it in again"
    if text.startswith(_GIT_LFS):
        return (
            "it is a Git LFS pointer, which stands for the notebook in the repository; git lfs pull brings the "
            "notebook itself"
        )
    if _WEB_PAGE.match(text):
        return "it is a web page; download the notebook itself as .ipynb, not the page that shows it"
    if _LINK.match(text):
        return LINK
    if marker := _CONFLICT.search(text):
        line = text.count("\n", 0, marker.start()) + 1
        return (
            f"git's conflict markers are in it, the first in line {line}; settle the merge (git checkout --theirs or "
            "--ours FILE), open the notebook, and hand it in again"
        )
    if isinstance(error, json.JSONDecodeError):
        if text.lstrip()[0] not in "{[":
            return "it is some other text, and not valid JSON, as notebooks are"
        # where the parser gives up: at the end, within half of a word such as false, or within a text without an end
        if error.pos >= len(text.rstrip()) - len("fals") or error.msg.startswith("Unterminated string"):
            return "it is not valid JSON: it ends in the middle, as a file does that was not saved or uploaded whole"
    return f"it is not valid JSON ({str(error)[:120]})"


def shortcut(value: dict[str, Any]) -> str | None:
    """What JSON without cells is, where it is a shortcut of Google Drive's; ``None`` where it is something else."""
    return LINK if _SHORTCUT_KEYS & set(value) else None
