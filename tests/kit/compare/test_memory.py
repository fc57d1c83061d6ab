"""The figure of peak memory over the tokens."""

from __future__ import annotations

from attention_lab.compare.functions import load_functions
from attention_lab.compare.memory import memory_figure
from support.releases import RIGHT

LENGTHS = (64, 128, 256)


def curves(figure):
    """By label of the legend, what is drawn."""
    (axes,) = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    scores, *own = axes.lines
    return dict(zip(names, [*own, scores], strict=True))


def test_tiles_grow_with_the_tokens_and_all_scores_with_their_square(releases):
    folder = releases(**RIGHT)
    function = load_functions(folder, ["tiled_causal"]).functions["tiled_causal"]
    figure = memory_figure("tiled_causal", function, folders=[folder / "nothing", folder], lengths=LENGTHS)
    drawn = {name: line.get_ydata() for name, line in curves(figure).items()}
    assert list(drawn) == ["eager bidirectional", "tiled causal", "all scores at once"]
    assert drawn["eager bidirectional"][-1] > 3.5 * drawn["eager bidirectional"][-2]
    assert drawn["tiled causal"][-1] < 2.2 * drawn["tiled causal"][-2]
    assert f"tiled causal {drawn['tiled causal'][-1]:.3g} MB" in figure.caption


def test_a_notebook_that_is_not_there_is_said_and_left_out(tmp_path):
    figure = memory_figure("tiled_causal", lambda q, **more: q + 1, folders=[tmp_path], lengths=LENGTHS)
    assert list(curves(figure)) == ["tiled causal", "all scores at once"]
    assert "01_eager_bidirectional.ipynb is not in" in figure.caption
