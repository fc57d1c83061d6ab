"""Who sees whom: the sequence of each packed token, whatever tells where one begins."""

import pytest
import torch

from attention_lab.inputs import borders_as, packed_batch
from attention_lab.rules import places_in_sequence, sequence_of

LENGTHS = (3, 1, 2)


@pytest.mark.parametrize("starts", [(), (0, 2, 0), (2, 0, 5), (4, 4, 9)])
def test_a_sequence_begins_where_the_count_does_not_go_on(starts: tuple[int, ...]) -> None:
    arguments = borders_as("positions", LENGTHS, starts=starts)

    assert sequence_of(arguments).tolist() == [0, 0, 0, 1, 2, 2]
    assert places_in_sequence(arguments).tolist() == [0, 1, 2, 0, 0, 1]


def test_borders_and_positions_tell_the_same() -> None:
    borders, positions = (borders_as(inputs, LENGTHS) for inputs in ("packed", "positions"))

    assert torch.equal(sequence_of(borders), sequence_of(positions))


def test_a_row_without_tokens_has_no_sequence() -> None:
    assert sequence_of({"position_ids": torch.empty(0, dtype=torch.int64)}).tolist() == []


def test_documents_that_positions_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="a document starts at 2, where the one before it ends"):
        borders_as("positions", (2, 3), starts=(0, 2))
    with pytest.raises(ValueError, match="2 documents and 1 starts"):
        borders_as("positions", (2, 3), starts=(0,))


def test_a_batch_told_by_positions_gives_no_borders() -> None:
    batch = packed_batch((("a", "b"), (), ("c",)), inputs="positions", starts=(0, 0, 5))

    assert list(batch.arguments()) == ["q", "k", "v", "num_heads", "head_dim", "position_ids"]
    assert batch.arguments()["position_ids"].tolist() == [0, 1, 5]
    assert batch.lengths == (2, 0, 1)
    assert batch.given_as("positions") is batch
    assert batch.given_as("packed").arguments()["cu_seqlens"].tolist() == [0, 2, 2, 3]
