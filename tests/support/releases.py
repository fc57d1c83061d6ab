"""Folders of releases in which some functions are written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from attention_lab.variants import VARIANTS
from corpus import CORPUS
from support.places import RELEASES, ROOT

# A right answer to each variant
RIGHT = {name: next(a.source for a in CORPUS if a.variant == name and a.right) for name in VARIANTS}


def write_releases(folder: Path, **sources: str) -> Path:
    """Write all releases into a folder, with these sources in their solution cells."""
    for variant in VARIANTS.values():
        notebook = json.loads(RELEASES[variant.stem].read_text())
        for cell in notebook["cells"]:
            if cell["id"] == "solution" and variant.name in sources:
                cell["source"] = sources[variant.name]
        (folder / variant.stem).mkdir()
        (folder / variant.stem / f"{variant.stem}.ipynb").write_text(json.dumps(notebook))
    return folder


def published(folder: Path, repository: str = "a-fork/attention", tag: str = "v9") -> Path:
    """A copy of what releases are made from, published at an address where nobody is asked."""
    folder.mkdir(parents=True)
    for name in ("source", "notebooks", "socratic_prompt.md", "nbgrader_config.py", "README.md", "pyproject.toml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    (folder / "grading").mkdir()
    shutil.copy(ROOT / "grading" / "pyproject.toml", folder / "grading")
    address = f'[published]\nrepository = "{repository}"\ntag = "{tag}"\n'
    (folder / "course.toml").write_text(f'[course]\nname = "A course"\n{address}')
    return folder
