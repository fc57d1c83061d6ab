"""Sphinx's configuration of the course's site. It fetches nothing, neither at build time nor in the browser."""

from __future__ import annotations

import tomllib
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).resolve().parents[2]

project = tomllib.loads((ROOT / "course.toml").read_text(encoding="utf-8"))["course"]["name"]
copyright = "the course's authors: code under the MIT licence, texts under CC BY 4.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
highlight_language = "bash"  # a block that names no language is typed into a shell

# Notebooks: ``build.py`` has run the lessons; exercises are shown as they are handed out
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = [
    "myst.header",  # a notebook's headings begin where its author wants
]

autodoc_member_order = "bysource"
napoleon_use_ivar = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

# Furo brings its own styles and scripts, follows the reader's light or dark theme, and fits a phone
html_theme = "furo"
html_title = project
html_use_index = False  # the search finds names, and the index fits no phone
html_copy_source = False
html_show_sourcelink = False
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # MathJax would be a script on a server, or 2 MB of it here


def setup(app: Sphinx) -> None:
    """Write formulas as MathML, which browsers show by themselves."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))


def _inline(page: HTML5Translator, node: nodes.math) -> None:
    page.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(page: HTML5Translator, node: nodes.math_block) -> None:
    page.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode
