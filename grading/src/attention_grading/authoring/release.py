"""``make release``: write ``release/``, all that students get, from ``source/`` and ``notebooks/``.

The only command that writes there. Where a notebook differs from git's, somebody has worked in it: the command refuses
and names it, unless forced. It refuses an address that does not fit git's remotes, too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from attention_grading.authoring import address
from attention_grading.authoring.course_root import nbgrader, prepare, stems_in
from attention_grading.authoring.for_students import pages, readme_with_address
from attention_grading.authoring.points import require_points_as_written
from attention_grading.course_file import Published, read_course
from attention_lab.variants import VARIANTS


def main(arguments: list[str] | None = None) -> int:
    """Write the releases; returns 0, or 1 where a changed notebook stood in the way or none could be made."""
    parser = argparse.ArgumentParser(prog="python -m attention_grading.authoring.release", description=__doc__)
    parser.add_argument("--force", action="store_true", help="overwrite notebooks that differ from git's")
    parser.add_argument("--any-address", action="store_true", help="release for an address that git does not know")
    options = parser.parse_args(arguments)
    course = Path.cwd()
    changed = changed_notebooks(course)
    if changed and not options.force:
        print("These notebooks in release/ differ from git's; someone may have worked in them:", file=sys.stderr)
        print("\n".join(f"  {name}" for name in changed), file=sys.stderr)
        print("Move them elsewhere, or run `make release FORCE=1` to overwrite them.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        try:
            published = read_course(course).published
            if published and not options.any_address:
                address.require_fitting(course, published)
            generated = generate(course, Path(temporary) / "course")
            texts = {f"release/{path.stem}/{path.name}": path.read_text(encoding="utf-8") for path in generated}
            texts |= pages(course)
        except (OSError, RuntimeError, ValueError) as reason:
            print(f"Nothing was released: {reason}", file=sys.stderr)
            return 1
    for name, text in texts.items():
        target = course / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(f"wrote {name}")
    for name in pin_address(course, published):
        print(f"wrote into {name} where the course is published")
    if published:
        print(address.next_steps(course, published))
    kept = {path.parent.name for path in generated}
    for variant in VARIANTS.values():
        if variant.stem not in kept and (course / "release" / variant.stem).exists():
            print(f"release/{variant.stem} has no notebook in source/ any more: delete it if you have dropped it")
    return 0


def generate(course: Path, folder: Path) -> list[Path]:
    """Generate the releases in a folder of their own.

    Returns:
        Their paths: one for each variant that has a notebook in ``source/``.

    Raises:
        OSError: A file that a course root needs is missing.
        ValueError: A check's points are no number, or its text names others.
        RuntimeError: There is no notebook, or nbgrader made no release of one; the message says why.
    """
    prepare(course, folder)
    stems = stems_in(folder / "source")
    if not stems:
        raise RuntimeError("there is no notebook in source/")
    require_points_as_written(folder / "source", stems)
    nbgrader(folder, "generate_assignment", "--assignment=*")
    return [folder / "release" / stem / f"{stem}.ipynb" for stem in stems]


def pin_address(course: Path, published: Published | None) -> list[str]:
    """Write what is true of the course's address into the README and both packages' metadata.

    Returns:
        The files that said something else before.
    """
    readme = partial(readme_with_address, published=published, stems=stems_in(course / "source"))
    urls = partial(address.with_urls, published=published)
    changed = []
    for name, with_address in {"README.md": readme, "pyproject.toml": urls, "grading/pyproject.toml": urls}.items():
        path = course / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""  # a course root needs no package's sources
        after = with_address(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(name)
    return changed


def changed_notebooks(course: Path) -> list[str]:
    """Notebooks in ``release/`` that differ from git's, new ones included; without git, all that are there."""
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all", "--", "release"],
        cwd=course,
        capture_output=True,
        text=True,
        check=False,
    )
    if status.returncode != 0:
        return [str(path.relative_to(course)) for path in sorted((course / "release").rglob("*.ipynb"))]
    names = [line[3:].strip('"') for line in status.stdout.splitlines()]
    return [name for name in names if name.endswith(".ipynb") and ".ipynb_checkpoints" not in name]


if __name__ == "__main__":
    sys.exit(main())
