"""Figures that compute in the page while a reader moves something; without the site's script they are pictures.

The figure, the data and the words stand in the cell's output; the arithmetic stands in `tools/ext/static/moving.js`,
which the site loads, so a page carries no script of its own. Jupyter and Colab show the picture as it starts, and the
same in words. `ranks` and `shrinkage` are the two figures that the book has.

Shapes: m rows and n columns of a matrix; K singular values.
"""
from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lib import _check
from lib.book.figures import COLOURS, INK, MOVING, _caption, _svg


@dataclass(frozen=True)
class Control:
    """What a reader moves: a slider over some values.

    Args:
        name: what it is called.
        values: what it may be, at least two, in order.
        start: index of the value at which the figure is drawn, from 0.
        texts: how each value is said; as Python writes it if not given.
    """

    name: str
    values: Sequence[float]
    start: int = 0
    texts: Sequence[str] = ()

    def said(self) -> list[str]:
        """The text of each value."""
        return list(self.texts) or [f"{value:g}" for value in self.values]


def moving(
    fig: Figure,
    *,
    kind: str,
    data: Mapping[str, Any],
    controls: Sequence[Control],
    words: str,
    said: Mapping[str, str],
    alt: str,
    caption: str = "",
) -> None:
    """Show a figure whose marked parts the page computes again from `data` whenever a control moves.

    Args:
        fig: one pair of linear axes, drawn as the figure starts; closed afterwards. An artist moves if its `gid` is
            `moving-NAME`: a line or a polygon gets another path, a marker another place.
        kind: the function of `moving.js` that computes it.
        data: what that function reads: numbers, and lists and dictionaries of them.
        controls: at least one.
        words: what the figure says, with `{name}` for what changes.
        said: name -> its text as the figure starts.
        alt: alternative text of the picture.
        caption: a line below the figure.

    Raises:
        ValueError: no control, one whose start is none of its values or whose texts are not one a value, a name in
            `words` that `said` lacks, no moving part, more than one pair of axes, or an empty `alt`.
    """
    if not controls:
        raise ValueError("controls must hold at least one, got none")
    for control in controls:
        if not 0 <= control.start < len(control.values) > 1 or len(control.said()) != len(control.values):
            raise ValueError(f"{control.name} must start at one of at least two values, each with its text, "
                             f"got start {control.start} of {len(control.values)}")  # fmt: skip
    if lacking := sorted(set(re.findall(r"\{(\w+)\}", words)) - set(said)):
        raise ValueError(f"said must hold every name in words, got none for {', '.join(lacking)}")
    if len(fig.axes) != 1:
        raise ValueError(f"fig must have one pair of axes, got {len(fig.axes)}")
    svg = _svg(fig, alt)
    if "data-part=" not in svg:
        raise ValueError(f"fig must have an artist with a gid {MOVING}NAME, got none")
    (ax,) = fig.axes
    told = {"data": data, "frame": _frame(fig), "values": [list(control.values) for control in controls]}
    salt = hashlib.sha256((svg + json.dumps(told) + words).encode()).hexdigest()[:8]
    inputs = "".join(_input(control, f"{salt}-{number}") for number, control in enumerate(controls))
    sentence = re.sub(r"\{(\w+)\}", lambda match: said[match[1]], words)
    display(HTML(
        f'<figure class="par-figure par-moving" data-kind="{kind}" data-told="{html.escape(json.dumps(told))}" '
        f'data-words="{html.escape(words)}" style="margin:1em 0">{inputs}{svg}'
        f'<p class="par-said" role="status">{html.escape(sentence)}</p>{_caption(caption)}</figure>'
    ))


def _input(control: Control, name: str) -> str:
    """A slider that the site's script shows; without it there is nothing to move."""
    said, last = control.said(), len(control.values) - 1
    return (
        '<div class="par-axis" hidden style="gap:.8em;align-items:center;margin:.3em 0">'
        f'<label for="{name}">{html.escape(control.name)}</label>'
        f'<input type="range" id="{name}" min="0" max="{last}" value="{control.start}" '
        f'data-values="{html.escape(json.dumps(said))}" aria-valuetext="{html.escape(said[control.start])}" '
        'autocomplete="off" style="flex:1;max-width:20em">'
        f'<output for="{name}">{html.escape(said[control.start])}</output></div>'
    )


def _frame(fig: Figure) -> dict[str, list[float]]:
    """Where data lie in the picture: a point (x, y) at (a + b x, c + d y), in the units of its view box."""
    (ax,) = fig.axes
    width, height = (72 * inches for inches in fig.get_size_inches())
    place, (left, right), (low, high) = ax.get_position(), ax.get_xlim(), ax.get_ylim()
    b = width * place.width / (right - left)
    d = -height * place.height / (high - low)
    return {"x": [width * place.x0 - b * left, b], "y": [height * (1 - place.y0) - d * low, d]}


def ranks(matrices: Mapping[str, NDArray[np.float64]], *, tried: Sequence[int], start: int, alt: str) -> None:
    """Show the singular values of matrices, and what is lost when one is cut to a rank that the reader chooses.

        kept = sum_{i <= r} s_i^2 / sum_i s_i^2,   error = sqrt(1 - kept),   numbers to store = r (m + n)

    Source: Eckart and Young 1936. Singular values are shown as shares of the matrix' norm, to four digits.

    Args:
        matrices: name -> (m, n), all with the same K; the first is drawn.
        tried: the ranks of the slider, 1 to K, in order.
        start: the rank that is drawn, at least 1 and one of `tried`.
        alt: alternative text.

    Raises:
        ValueError: no matrix, a rank out of range, or a start that is not tried.
    """
    if not matrices or start not in tried:
        raise ValueError(f"start must be one of the ranks tried on at least one matrix, got {start}")
    found = [np.linalg.svd(matrix, compute_uv=False) for matrix in matrices.values()]
    spectra = [[float(f"{value:.4g}") for value in values / np.linalg.norm(values)] for values in found]
    shapes, names, spectrum = [matrix.shape for matrix in matrices.values()], list(matrices), np.array(spectra[0])
    size = len(spectrum)
    for rank in tried:
        _check.whole(1, size, rank=rank)
    fig, ax = plt.subplots(figsize=(5.0, 2.7))
    for name, part, colour, alpha in (("kept", slice(0, start), COLOURS[0], 0.85),
                                      ("lost", slice(start, size), COLOURS[1], 0.55)):  # fmt: skip
        edges = np.repeat(np.arange(part.start, part.stop + 1) + 0.5, 2)
        heights = np.concatenate([[0], np.repeat(spectrum[part], 2), [0]])
        ax.fill(edges, heights, color=colour, alpha=alpha, lw=0, gid=f"{MOVING}{name}")
    ax.set(xlim=(0.5, size + 0.5), ylim=(0, 1.05 * max(map(max, spectra))), xlabel="singular value, largest first",
           ylabel="share of the norm", title="What a rank keeps, and what it loses")  # fmt: skip
    for x, y, words, colour in ((0.62, 0.86, "kept", COLOURS[0]), (0.62, 0.74, "lost", COLOURS[1])):
        ax.text(x, y, words, transform=ax.transAxes, color=colour, weight="bold")
    kept = float((spectrum[:start] ** 2).sum() / (spectrum**2).sum())
    (m, n), stored = shapes[0], start * sum(shapes[0])
    moving(
        fig, kind="rank", data={"spectra": spectra, "shapes": shapes, "names": names},
        controls=[Control("rank r", tried, list(tried).index(start)),
                  *[Control("matrix", range(len(names)), 0, names)] * (len(names) > 1)],
        words="Rank {rank} keeps {kept} of the squared norm of the {name}. The relative error is {error}. "
        "Its two factors hold {stored} numbers: {share} of the matrix.",
        said={"rank": f"{start:,}", "name": names[0], "kept": _percent(kept), "error": _percent((1 - kept) ** 0.5),
              "stored": f"{stored:,}", "share": _percent(stored / m / n)},
        alt=alt,
    )  # fmt: skip


def shrinkage(
    *, curvature: Sequence[float], turn: float, target: Sequence[float], rate: float,
    strengths: Sequence[float], steps: Sequence[int], start: tuple[int, int], alt: str,
) -> None:  # fmt: skip
    """Show where L2 and where early stopping from zero end on a quadratic with two weights, as the reader moves both.

        loss = 1/2 (w - t)' H (w - t)
        along an axis of H with curvature h:   L2  h / (h + lambda),   tau steps of size eta  1 - (1 - eta h)^tau

    Args:
        curvature: h along the two axes of H, each above 0.
        turn: degrees from the first weight's axis to H's first, 0 to 180.
        target: t, where the loss is zero.
        rate: eta, above 0 and at most one over the largest curvature.
        strengths: lambda, at least 0, on the slider.
        steps: tau, at least 0, on the slider.
        start: the indices of strength and steps that are drawn.
        alt: alternative text.

    Raises:
        ValueError: a rate out of range.
    """
    h, t = np.array(curvature, dtype=float), np.array(target, dtype=float)
    if not 0 < rate <= 1 / h.max():
        raise ValueError(f"rate must be above 0 and at most {1 / h.max():g}, got {rate}")
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    R = np.array([[c, -s], [s, c]])
    H = R @ np.diag(h) @ R.T
    strength, count = strengths[start[0]], steps[start[1]]

    def loss(w: NDArray[np.float64]) -> float:
        return float((w - t) @ H @ (w - t) / 2)

    shrunk, path = np.linalg.solve(H + strength * np.eye(2), H @ t), [np.zeros(2)]
    for _ in range(count):
        path.append(path[-1] - rate * H @ (path[-1] - t))
    every = [np.linalg.solve(H + each * np.eye(2), H @ t) for each in np.logspace(-4, 4, 200) * h.max()]
    fig, ax = plt.subplots(figsize=(5.0, 3.6))
    angle = np.linspace(0, 2 * np.pi, 121)
    ring = np.array([np.cos(angle), np.sin(angle)])
    for level in (0.1, 0.4, 0.9, 1.6, 2.5):
        ax.plot(*(t[:, None] + R @ (ring * np.sqrt(2 * level / h)[:, None])), color=COLOURS[4], lw=0.7, alpha=0.6)
    ax.plot(*(t[:, None] + R @ (ring * np.sqrt(2 * loss(shrunk) / h)[:, None])), color=INK, lw=1.2,
            gid=f"{MOVING}contour")  # fmt: skip
    ax.plot(*(np.linalg.norm(shrunk) * ring), color=COLOURS[1], lw=1, ls=":", gid=f"{MOVING}ball")
    ax.plot(*np.transpose(every), color=COLOURS[1], lw=1, alpha=0.7)
    ax.plot(*np.transpose(path), color=COLOURS[0], gid=f"{MOVING}steps")
    ax.plot(*shrunk, "s", color=COLOURS[1], ms=8, gid=f"{MOVING}shrunk")
    ax.plot(*path[-1], "o", color=COLOURS[0], ms=8, gid=f"{MOVING}ended")
    ax.plot(0, 0, "+", color=INK, ms=9)
    ax.plot(*t, "*", color=INK, ms=9)
    ax.annotate("start", (0, 0), (-6, -13), textcoords="offset points", ha="right")
    ax.annotate("lowest loss", (t[0], t[1]), (8, 4), textcoords="offset points")
    for y, words, colour in ((0.95, "gradient descent", COLOURS[0]), (0.87, "L2", COLOURS[1])):
        ax.text(0.02, y, words, transform=ax.transAxes, color=colour, weight="bold", va="top")
    low, high = min(-0.6, t[1] - 1), max(0.6, t[1] + 1)
    middle, reach = t[0] / 2, 0.8 * (high - low)
    ax.set(aspect="equal", xlim=(middle - reach, middle + reach), ylim=(low, high), xlabel="first weight",
           ylabel="second weight", title="Two paths to the same place")  # fmt: skip
    moving(
        fig, kind="shrinkage",
        data={"curvature": h.tolist(), "axes": R.tolist(), "target": t.tolist(), "rate": rate},
        controls=[Control("strength λ", strengths, start[0]), Control("steps τ", steps, start[1])],
        words="L2 of strength {strength} ends at ({shrunk}), where the loss is {shrunk_loss}. Gradient descent is at "
        "({ended}) after {steps} steps, where it is {ended_loss}. The two are {apart} apart. "
        "The strength that matches so many steps, 1/(ητ), is {match}.",
        said={"strength": f"{strength:g}", "steps": f"{count:,}", "shrunk": _place(shrunk), "ended": _place(path[-1]),
              "shrunk_loss": _decimals(loss(shrunk)), "ended_loss": _decimals(loss(path[-1])),
              "apart": _decimals(float(np.linalg.norm(shrunk - path[-1]))),
              "match": _decimals(1 / (rate * count), 3) if count else "infinite"},
        alt=alt,
    )  # fmt: skip


def _decimals(value: float, digits: int = 2) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")  # + 0.0: no zero below zero


def _percent(share: float) -> str:
    return f"{_decimals(100 * share, 2 if 0.999 < share < 1 else 1)} %"


def _place(point: NDArray[np.float64]) -> str:
    return ", ".join(map(_decimals, point))
