"""Drawings of ideas: rectangles of the shapes that they stand for."""
from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.patches import Rectangle

from lib.adapters import LoRA
from lib.book.drawings import low_rank


@pytest.mark.parametrize(("m", "n", "rank"), [(576, 576, 8), (40, 10, 3), (5, 30, 5)])
def test_each_rectangle_has_the_area_of_its_matrix(m: int, n: int, rank: int) -> None:
    lora = LoRA(torch.zeros(m, n), rank, 1.0)
    fig = low_rank(m, n, rank)
    (ax,) = fig.axes
    drawn = sorted(patch.get_width() * patch.get_height() for patch in ax.patches if isinstance(patch, Rectangle))
    plt.close(fig)
    assert drawn == sorted([m * n, m * n, m * n, lora.A.numel(), lora.B.numel()])


def test_a_rank_above_the_smaller_side_is_refused() -> None:
    with pytest.raises(ValueError, match="rank must be a whole number between 1 and 3, got 4"):
        low_rank(3, 9, 4)
