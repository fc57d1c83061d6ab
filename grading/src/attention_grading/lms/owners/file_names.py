"""What students call their files: copy marks, extensions, and the id that is left beside the assignment's name."""

from __future__ import annotations

import re

from attention_lab.variants import VARIANTS

# Names are up to 1000 characters of anybody's choice: no pattern here may have two ways to match the same character,
# or it takes the square of the length, and worse.
_COPY_OF = re.compile(r"^(?:copy of|kopie von|copie de|copia de)[\s_]+", re.IGNORECASE)
_COPY_NUMBER = re.compile(r"(?:\((\d{1,3})\)|[\s_-]copy(?:[\s_-](\d{1,2}))?)$", re.IGNORECASE)
# Canvas's number of a further attempt; after anything else than the assignment it may be part of an id
_ATTEMPT_NUMBER = re.compile(r"(?<=l)-(\d{1,2})$")
_EXTENSIONS = (".ipynb", ".json", ".txt", ".zip")
# The number goes with the name only if it is that assignment's own: another one may be the end of an id
_ASSIGNMENT = re.compile(
    "|".join(
        r"(?:(?<![^\W_]){:02d}[\W_]*)?{}(?:[\W_]*attention)?".format(
            variant.number, r"[\W_]*".join(variant.name.split("_"))
        )
        for variant in sorted(VARIANTS.values(), key=lambda one: -len(one.name))
    ),
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(
    r"(?:final|finished|done|fixed|new|solution|solved|submission|submit|copy|v\d+)", re.IGNORECASE
)


def id_in_name(name: str) -> str:
    """What is left of a file's name without the assignment, copy marks and words that name nobody."""
    base, _ = split_copy(name)
    left = _ASSIGNMENT.sub(" ", base)
    words = re.split(r"[\s_]+", left) if left != base else [base]
    return "_".join(
        word for word in words if word.strip("-.()") and not _SAYS_NOTHING.fullmatch(word.strip("-.()"))
    ).strip("-.() ")


def split_copy(name: str) -> tuple[str, int]:
    """A file's name without extensions, ``Copy of`` and copy number, and that number (0 where there is none)."""
    base, number = _COPY_OF.sub("", without_extensions(name).strip()), 0
    if match := _COPY_NUMBER.search(base):
        base, number = base[: match.start()], int(next((digits for digits in match.groups() if digits), 1))
    elif (match := _ATTEMPT_NUMBER.search(base)) and _ASSIGNMENT.fullmatch(base[: match.start()]):
        base, number = base[: match.start()], int(match[1])
    return base.strip(), number


def without_extensions(name: str) -> str:
    """The name without ``.ipynb``, ``.zip`` and what browsers and mail programs append to them."""
    while name.casefold().endswith(_EXTENSIONS):
        name = name.rpartition(".")[0]
    return name
