"""Diagrams of what surrounds attention: where in a model a variant stands, where a triangle lies, what blocks skip.

Its doors are ``where_it_runs``, ``alignments``, ``cached_alignments`` and ``block_sparsity``; ``drawing`` is what they
draw with.
"""

from __future__ import annotations

from attention_lab.doors import opens

# no module has the name of a door: the import system would put it in the door's place
__getattr__ = opens(
    __name__,
    where_it_runs="places",
    alignments="triangles",
    cached_alignments="triangles",
    block_sparsity="blocks",
)
