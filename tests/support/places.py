"""Where the course's files lie, from ``VARIANTS``: a further variant is tested without an edit here."""

from __future__ import annotations

from pathlib import Path

from attention_lab.variants import VARIANTS

ROOT = Path(__file__).parents[2]
STEMS = [variant.stem for variant in VARIANTS.values()]
MASTERS = {stem: ROOT / "source" / stem / f"{stem}.ipynb" for stem in STEMS}
RELEASES = {stem: ROOT / "release" / stem / f"{stem}.ipynb" for stem in STEMS}
