"""Outputs that want to be more than text and pictures in the page that an instructor opens."""

from __future__ import annotations

from catalogue.entry import RIGHT, Place, submission

SCRIPT = "<script>document.title='REACHED'</script><img src=x onerror=REACHED()>"


@submission("output", RIGHT)
def shows_html(p: Place) -> None:
    p.solve(p.right).after(
        "from IPython.display import HTML, Javascript, SVG, Markdown, Latex, IFrame, display\n"
        f"display(HTML({SCRIPT!r})); display(Javascript('REACHED()')); display(Markdown({SCRIPT!r}))\n"
        "display(IFrame('javascript:REACHED()', 10, 10)); display(Latex('$\\\\href{javascript:REACHED()}{x}$'))\n"
        'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" onload="REACHED()"/>\'))\n'
    )


@submission("output", RIGHT)
def shows_bundles(p: Place) -> None:
    p.solve(p.right).after(
        "class Page:\n"
        f"    def _repr_html_(self): return {SCRIPT!r}\n"
        f"    def _repr_mimebundle_(self, **k): return {{'text/html': {SCRIPT!r}, 'application/javascript': 'REACHED()',\n"
        "        'text/plain': 'fine', 'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}}\n"
        "Page()\n"
    )


@submission("output", RIGHT)
def prints_html(p: Place) -> None:
    p.solve(p.right).after(f"import sys\nprint({SCRIPT!r}); print({SCRIPT!r}, file=sys.stderr)\n{SCRIPT!r}\n")


@submission("output", 0)
def raises_html(p: Place) -> None:
    p.solve(
        "class Loud(Exception):\n"
        f"    def _render_traceback_(self): return [{SCRIPT!r}, '\\x1b[31mred']\n"
        f"def {p.function}(*a, **k): raise Loud({SCRIPT!r})\n"
    ).after(f"raise Loud({SCRIPT!r})\n")


@submission("output", RIGHT)
def prints_escape_sequences(p: Place) -> None:
    p.solve(p.right).after(
        "print('\\x1b]0;REACHED\\x07\\x1b[2J\\x1b[31mred\\x1b[0m \\x9b31m \\x08\\x08 \\u202eesrever \\x00 \\ud800')\n"
        "raise ValueError('\\x1b]8;;http://REACHED\\x07link\\x1b]8;;\\x07')\n"
    )


@submission("output", RIGHT)
def breaks_out_of_an_attribute(p: Place) -> None:
    p.solve(p.right).after(
        "import base64, matplotlib.pyplot as plt, io\n"
        "plt.plot([1, 2]); buffer = io.BytesIO(); plt.savefig(buffer); plt.close()\n"
        "from IPython.display import display\n"
        "display({'image/png': base64.b64encode(buffer.getvalue()).decode(), 'text/plain': 'x'}, raw=True,\n"
        "        metadata={'image/png': {'alt': '\"><script>REACHED()</script>', 'width': '1\" onload=\"REACHED()'}})\n"
    )


@submission("output", RIGHT)
def sends_a_picture_that_is_none(p: Place) -> None:
    p.solve(p.right).after(
        "import base64\nfrom IPython.display import display\n"
        f"display({{'image/png': base64.b64encode({SCRIPT.encode()!r}).decode()}}, raw=True)\n"
        "display({'image/png': '\"><script>REACHED()</script>'}, raw=True)\n"
        "display({'image/png': 7, 'text/plain': ['x'], 'image/svg+xml': '<svg/>'}, raw=True)\n"
        # a few bytes that would fill gigabytes
        "png = b'\\x89PNG\\r\\n\\x1a\\n\\x00\\x00\\x00\\rIHDR' + (60000).to_bytes(4, 'big') * 2 + b'\\x08\\x06' + b'x' * 50\n"
        "display({'image/png': base64.b64encode(png).decode()}, raw=True)\n"
    )


@submission("output", RIGHT)
def writes_html_into_its_code(p: Place) -> None:
    p.solve(p.right + f"\n# </pre></div>{SCRIPT}\n").after(f"</script>{SCRIPT}\n")


@submission("output", 0)
def names_itself_in_html(p: Place) -> None:
    p.solve(f"Loud = type({SCRIPT!r}, (Exception,), {{}})\ndef {p.function}(*a, **k): raise Loud({SCRIPT!r} * 50)\n")


@submission("output", RIGHT, says="ValueError")
def writes_lines_into_the_log(p: Place) -> None:
    p.solve(p.right).before("raise ValueError('x\\n[AutogradeApp | ERROR] REACHED\\x1b[2J')\n")
