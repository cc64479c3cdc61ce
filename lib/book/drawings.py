"""Pictures of ideas: what a layer is made of, drawn to scale.

Shapes: W is the weight of a layer, (m, n); r is a rank; A is (r, n), B is (m, r).
"""
from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib import _check
from lib.book.figures import COLOURS, INK


def low_rank(m: int, n: int, rank: int) -> Figure:
    """A frozen matrix and the two factors of its low-rank change, as rectangles of their shapes and to one scale.

        W' = W + B A        Hu et al. 2022, section 4.1

    Args:
        m, n: rows and columns of W, at least 1.
        rank: rows of A and columns of B, 1 to $min(m, n)$.

    Raises:
        ValueError: a number out of range.
    """
    _check.whole(1, m=m, n=n)
    _check.whole(1, min(m, n), rank=rank)
    fig, ax = plt.subplots(figsize=(5.0, 2.3))
    gap = 0.22 * n
    places = {"W": 0.0, "B": n + gap, "A": n + 1.45 * gap + rank, "W'": 2 * n + 2.45 * gap + rank}
    grey, thin, end = COLOURS[4], COLOURS[1], places["W'"] + n
    for x, y, width, height, colour in (
        (places["W"], 0, n, m, grey), (places["W'"], 0, n, m, COLOURS[0]),
        (places["B"], 0, rank, m, thin), (places["A"], (m - rank) / 2, n, rank, thin),
    ):  # fmt: skip
        ax.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0,
                               alpha=0.9 if colour == thin else 0.25))
    ax.add_patch(Rectangle((places["A"], 0), n, m, fill=False, edgecolor=thin, linestyle=":", linewidth=1))
    for x, words in ((n / 2, "W\nfrozen"), (places["W'"] + n / 2, "W + BA\nafter merging")):
        ax.text(x, m / 2, words, ha="center", va="center", color=INK)
    for x, sign in ((n + gap / 2, "+"), (places["W'"] - gap / 2, "=")):
        ax.text(x, m / 2, sign, fontsize=14, ha="center", va="center", color=INK)
    for x, words in ((n / 2, f"{m} × {n}"), (places["B"], f"B\n{m} × {rank}"),
                     (places["A"] + n / 2 + gap / 4, f"A\n{rank} × {n}"), (places["W'"] + n / 2, f"{m} × {n}")):
        ax.text(x, -0.08 * m, words, ha="center", va="top", color=INK, fontsize=9.5)
    ax.set(xlim=(-0.02 * n, end + 0.02 * n), ylim=(-0.42 * m, 1.02 * m), aspect="equal")
    ax.axis("off")
    return fig
