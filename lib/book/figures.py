"""One figure style, alternative text, and interactive figures that need no kernel.

Importing this module sets the style. Figures are inline SVG whose text and axes take the page's own text colour, so one
picture serves light and dark, on the site, in Jupyter and on Colab.
"""
from __future__ import annotations

import hashlib
import html
import io
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from IPython.display import HTML, display
from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's text colour until the figure is shown
MOVING = "moving-"  # begins the `gid` of an artist that `lib.book.moving` lets the page move


COLOURS = ("#2a6fe0", "#cf7a10", "#2a9f6a", "#a44fb2", "#77757c", "#d23b3f")  # at least 3:1 on white and on black


STYLE: Any = {
    "figure.figsize": (5.0, 2.9),
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.12,  # inches: room for the larger letters that a phone needs
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.linewidth": 0.7,
    "boxplot.boxprops.color": INK, "boxplot.whiskerprops.color": INK, "boxplot.capprops.color": INK,
    "boxplot.medianprops.color": COLOURS[1], "boxplot.medianprops.linewidth": 1.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.alpha": 0.14,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text: sharp, small, in the page's own typeface
    "svg.hashsalt": "project-and-regularize",
    **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 9.5),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color", "patch.edgecolor"), INK),
}


plt.rcParams.update(STYLE)
SCRIPT = """<script>
for (const root of document.querySelectorAll(".par-slider:not([data-ready])")) {
  root.dataset.ready = "";
  const inputs = [...root.querySelectorAll("input")];
  const update = () => {
    const key = inputs.map(input => input.value).join("-");
    for (const input of inputs) {
      const text = JSON.parse(input.dataset.values)[input.value];
      input.setAttribute("aria-valuetext", text);
      input.nextElementSibling.value = text;
    }
    for (const frame of root.querySelectorAll("[data-frame]")) frame.hidden = frame.dataset.frame !== key;
  };
  for (const input of inputs) { input.disabled = false; input.addEventListener("input", update); }
  update();
}
</script>"""


def _svg(fig: Figure, alt: str) -> str:
    """Return the figure as inline SVG: the same bytes for the same figure, ids that clash with no other figure's."""
    if not alt.strip():
        raise ValueError('alt must say what the figure shows and its message, got ""')
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    plt.close(fig)
    waste = r"<\?xml.*?(?=<svg)|<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>"
    svg = re.sub(waste, "", buffer.getvalue(), flags=re.S)
    svg = re.sub(rf' id="{MOVING}([^"]+)"', r' data-part="\1"', svg)
    salt = hashlib.sha256((svg + alt).encode()).hexdigest()[:8]
    used = set(re.findall(r'#([^")]+)[")]', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{salt}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{salt}-", svg).replace(INK, "currentColor")
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg).strip()
    opening = re.match(r'<svg[^>]*(viewBox="[^"]+")[^>]*>', svg)
    assert opening, "matplotlib writes a view box"
    return (
        f'<svg class="par-svg" role="img" aria-label="{html.escape(alt)}" {opening[1]} stroke-linejoin="round" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" style="display:block;width:100%;'
        f'max-width:40rem;height:auto;font-family:Inter,system-ui,sans-serif">{svg[opening.end():]}'
    )


def _caption(text: str) -> str:
    return f'<figcaption style="max-width:46em;opacity:.8">{html.escape(text)}</figcaption>' if text else ""


def show(fig: Figure, *, alt: str, caption: str = "") -> None:
    """Show a figure as inline SVG and close it.

    Args:
        fig: closed afterwards.
        alt: what is drawn and its message, for who does not see it.
        caption: a line below the figure; `\\(...\\)` is mathematics.

    Raises:
        ValueError: an empty `alt`.
    """
    display(HTML(f'<figure class="par-figure" style="margin:1em 0">{_svg(fig, alt)}{_caption(caption)}</figure>'))


def slider(frames: Mapping[Any, Figure], *, label: str | Sequence[str], alt: str, caption: str = "") -> None:
    """Show figures drawn beforehand behind one range input an axis; it works with the keyboard and without a kernel.

    Args:
        frames: value -> figure, or (value, value) -> figure for two axes, in the order of the axis; every combination.
        label: the axis' name, or one name an axis.
        alt: alternative text of every frame; `{0}` and `{1}` stand for the frame's values.
        caption: a line below the figure.

    Raises:
        ValueError: no frames, a combination without a frame, or an empty `alt`.
    """
    labels = [label] if isinstance(label, str) else list(label)
    keyed = {key if isinstance(key, tuple) else (key,): fig for key, fig in frames.items()}
    axes = [list(dict.fromkeys(values)) for values in zip(*keyed, strict=True)]
    if len(axes) != len(labels) or set(itertools.product(*axes)) != set(keyed):
        raise ValueError(f"frames must hold every combination of values of {len(labels)} axes, got {len(keyed)} frames")
    body = ""
    for key in itertools.product(*axes):
        place = [axis.index(value) for axis, value in zip(axes, key, strict=True)]
        hidden = " hidden" if any(place) else ""
        svg = _svg(keyed[key], alt.format(*key))
        body += f'<div data-frame="{"-".join(map(str, place))}"{hidden}>{svg}</div>'
    salt = hashlib.sha256((body + str(labels)).encode()).hexdigest()[:8]
    inputs = ""
    for i, (name, axis) in enumerate(zip(labels, axes, strict=True)):
        values = html.escape(json.dumps([str(value) for value in axis]))
        inputs += (
            '<div class="par-axis" style="display:flex;gap:.8em;align-items:center;margin:.3em 0">'
            f'<label for="{salt}-{i}">{html.escape(name)}</label>'
            f'<input type="range" id="{salt}-{i}" min="0" max="{len(axis) - 1}" value="0" data-values="{values}" '
            'autocomplete="off" disabled style="flex:1;max-width:20em">'
            f'<output for="{salt}-{i}">{html.escape(str(axis[0]))}</output></div>'
        )
    figure = f'<figure class="par-figure par-slider" style="margin:1em 0">{inputs}{body}{_caption(caption)}</figure>'
    display(HTML(figure + SCRIPT))


def explore(draw: Callable[..., Figure], *, live: bool, alt: str, caption: str = "", **axes: Sequence[Any]) -> None:
    """Let the reader vary the arguments of `draw`: drawn beforehand, or recomputed in the kernel when `live`.

    Args:
        draw: keyword arguments named like the axes -> figure.
        live: True shows ipywidgets that call `draw` again; False shows a `slider` over every combination.
        alt: alternative text; `{0}` and `{1}` stand for the values.
        caption: a line below the figure.
        axes: name -> the values it may take; underscores read as spaces.

    Raises:
        ValueError: an axis without values, or an empty `alt`.
    """
    for name, values in axes.items():
        if not len(values):
            raise ValueError(f"{name} must have at least one value, got {values!r}")
    if not live:
        frames = {key: draw(**dict(zip(axes, key, strict=True))) for key in itertools.product(*axes.values())}
        return slider(frames, label=[name.replace("_", " ") for name in axes], alt=alt, caption=caption)
    import ipywidgets

    def redraw(**values: Any) -> None:
        show(draw(**values), alt=alt.format(*values.values()), caption=caption)

    sliders = {name: ipywidgets.SelectionSlider(options=list(values), description=name.replace("_", " "),
                                                continuous_update=False) for name, values in axes.items()}
    ipywidgets.interact(redraw, **sliders)
