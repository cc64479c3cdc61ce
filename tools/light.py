"""Figures in fewer bytes: the same marks, from what matplotlib writes at length.

The site holds each picture twice: on its page, and in the notebook that a reader may download. Staging rewrites it, not
`lib`, so that a lighter way to write a picture runs no chapter again.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

PICTURE = re.compile(r'<svg class="par-svg".*?</svg>', re.DOTALL)
FINE = 100  # parts of a unit of the view box, which is 360 wide at the least: a fiftieth of a pixel on the widest page
NUMBER = re.compile(r"-?\d*\.?\d+(?:e-?\d+)?")
INHERITED = ("fill", "stroke", "font", "text-anchor")  # and what begins so: these pass from a group to what it holds
LINE = re.compile(r"M[-\d. ]+(?:[hv][-\d.]+|l-?[\d.]+(?: |(?=-))-?[\d.]+)")  # between two points: nothing to fill
XLINK = "{http://www.w3.org/1999/xlink}href"


def page(text: str) -> str:
    """HTML with each picture of `lib` in it made lighter."""
    return PICTURE.sub(lambda match: picture(match[0]), text)


def picture(svg: str) -> str:
    """The picture with what draws nothing left out, places rounded, and a style that neighbours share said once."""
    opening = re.sub(r' xmlns:xlink="[^"]*"', "", svg[:svg.index(">") + 1])
    root = ElementTree.fromstring(svg)
    nodes = list(root.iter())
    sizes = Counter(size for node in nodes for size in re.findall("font-size: [^;]*", node.get("style", "")))
    said = {"fill:currentColor", *(size.replace(" ", "") for size, _ in sizes.most_common(1))}
    for node in nodes:
        node.tag = node.tag.rpartition("}")[2]
        if XLINK in node.attrib:
            node.set("href", node.attrib.pop(XLINK))
        if node.tag not in ("text", "tspan"):
            node.text = None
        if node.tag != "tspan":
            node.tail = None
        _rounded(node)
    shapes = {f"#{node.attrib['id']}": node for node in nodes if "id" in node.attrib}
    _unsaid(root, said, shapes)
    _pruned(root)
    _gathered(root, shapes)
    _shared(root)
    _renamed(root)
    inner = "".join(ElementTree.tostring(node, encoding="unicode") for node in root).replace(" />", "/>")
    return opening.replace(' style="', f' style="{";".join(sorted(said))};', 1) + inner + "</svg>"


def _rounded(node: Element) -> None:
    """Places to a hundredth, paths from point to point instead of from the corner, styles without spaces."""
    for key in ("x", "y", "width", "height", "transform"):
        if key in node.attrib:
            node.set(key, NUMBER.sub(lambda found: _written(round(float(found[0]) * FINE)), node.attrib[key]))
    if re.match(r"rotate\(-?0[ )]", node.get("transform", "")):
        del node.attrib["transform"]
    if "d" in node.attrib:
        node.set("d", path(node.attrib["d"]))
    if "style" in node.attrib:
        node.set("style", re.sub(r"\s*([:;])\s*", r"\1", node.attrib["style"]).strip(";"))


def _unsaid(parent: Element, said: set[str], shapes: Mapping[str, Element]) -> None:
    """Leave out of styles what holds anyway: what the root has said, what the shape that a mark repeats says for
    itself, and that a straight line is not filled, unless the page may bend it.
    """
    for node in parent:
        _unsaid(node, set() if "style" in node.attrib else said, shapes)
        _short(node, said, shapes, bent="data-part" in parent.attrib)


def _short(node: Element, said: set[str], shapes: Mapping[str, Element], *, bent: bool) -> None:
    declared = [each for each in node.get("style", "").split(";") if each]
    shape = shapes.get(node.get("href", ""))
    own = {_name(each) for each in shape.get("style", "").split(";")} if shape is not None else set()
    straight = not bent and LINE.fullmatch(node.get("d", "")) and "stroke" in map(_name, declared)
    dropped = said | {"fill:none"} if straight else said
    style = ";".join(each for each in declared if each not in dropped and _name(each) not in own)
    if style:
        node.set("style", style)
    else:
        node.attrib.pop("style", None)


def _name(declaration: str) -> str:
    return declaration.partition(":")[0]


def _written(parts: int) -> str:
    """A count of hundredths as SVG's shortest number."""
    text = f"{abs(parts) / FINE:.2f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
    return f"-{text}" if parts < 0 else text


def path(d: str) -> str:
    """An absolute path of M, L, C, Q and Z, rounded and then written with relative commands: roundings never add up.

    Raises:
        ValueError: another command.
    """
    out, before, x, y, start = "", "", 0, 0, (0, 0)
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", re.sub(r"e(?=-?\d)", "\N{SCRIPT SMALL E}", d)):
        if command not in "MLCQZz":
            raise ValueError(f"a path must be made of M, L, C, Q and Z, got {command}")
        if command in "Zz":
            out, before, (x, y) = out + "z", "z", start
            continue
        places = [round(float(n.replace("\N{SCRIPT SMALL E}", "e")) * FINE) for n in numbers.replace(",", " ").split()]
        moved = [place - (y if at % 2 else x) for at, place in enumerate(places)]
        kind = command.lower()
        if kind == "l" and 0 in moved:
            kind, moved = ("h", moved[:1]) if not moved[1] else ("v", moved[1:])
        out += _joined("" if kind == before else kind, moved)
        before, (x, y) = kind, (places[-2], places[-1])
        if kind == "m":
            before, start = "", (x, y)
    return "M" + out[1:]


def _joined(command: str, parts: list[int]) -> str:
    """Numbers after a command, or after the numbers of the same command before it."""
    written = [_written(part) for part in parts]
    spaced = "".join(text if text.startswith("-") else f" {text}" for text in written)
    return command + (spaced.lstrip() if command else spaced)


def _pruned(parent: Element) -> None:
    """Leave out paths without ink, groups without a word to say, and lists of nothing."""
    kept: list[Element] = []
    for node in parent:
        _pruned(node)
        plain = not node.attrib
        if node.tag == "g" and plain:
            kept += list(node)
        elif not (node.tag == "path" and node.get("style") == "fill:none" and "data-part" not in parent.attrib
                  and parent.tag == "g" or node.tag == "defs" and not len(node)):
            kept.append(node)
    parent[:] = kept


def _gathered(root: Element, shapes: Mapping[str, Element]) -> None:
    """Draw a straight mark that is repeated as it is, as the ticks of an axis are, by one path from place to place.

    A mark of data has a style of its own, so that what the page moves stays a mark.
    """
    repeated: dict[tuple[str, str], list[tuple[Element, Element]]] = {}
    for parent in root.iter():
        for node in parent.findall("use"):
            straight = LINE.fullmatch(shapes[node.attrib["href"]].get("d", ""))
            if straight and set(node.attrib) == {"x", "y", "href"}:
                repeated.setdefault((node.attrib["href"], str(parent.attrib)), []).append((parent, node))
    for (name, _), places in repeated.items():
        x, y, way = re.findall(r"M(-?[\d.]+) ?(-?[\d.]+)(.*)", shapes[name].attrib["d"])[0]
        starts = ([float(node.attrib["x"]) + float(x), float(node.attrib["y"]) + float(y)] for _, node in places)
        d = "".join(_joined("M", [round(place * FINE) for place in start]) + way for start in starts)
        (_, first), *others = places
        for parent, node in others:
            parent.remove(node)
        first.tag, first.attrib = "path", {"d": d, "style": shapes[name].attrib["style"]}
    gone = {name for name, _ in repeated} - {node.get("href") for node in root.iter()}
    for parent in root.iter("defs"):
        parent[:] = [node for node in parent if f"#{node.get('id')}" not in gone]
    _pruned(root)


def _shared(parent: Element) -> None:
    """Say once what neighbours say alike, on a group around them or on the one that holds nothing else."""
    for node in parent:
        _shared(node)
    kept: list[Element] = []
    alone = parent.tag == "g" and "style" not in parent.attrib
    runs = [(style, list(run)) for style, run in groupby(parent, key=_style)]
    for style, run in runs:
        if style and len(run) > 1:
            for node in run:
                del node.attrib["style"]
            if alone and len(runs) == 1:
                parent.set("style", style)
            else:
                group = Element("g", style=style)
                group[:] = run
                run = [group]
        kept += run
    parent[:] = kept


def _style(node: Element) -> str:
    """The style of a shape whose every property passes from a group to what it holds; else nothing."""
    style = node.get("style", "")
    passed = node.tag in ("use", "path", "text") and all(each.startswith(INHERITED) for each in style.split(";"))
    return style if passed else ""


def _renamed(root: Element) -> None:
    """Short names for what a picture refers to: the picture's own salt and a count."""
    names = {node.attrib["id"]: "" for node in root.iter() if "id" in node.attrib}
    for count, name in enumerate(names):
        names[name] = f"{name[:6]}-{count}"
    renamed: Callable[[re.Match[str]], str] = lambda found: "#" + names[found[1]]  # noqa: E731
    for node in root.iter():
        if "id" in node.attrib:
            node.set("id", names[node.attrib["id"]])
        for key in ("href", "clip-path", "style"):
            if "#" in node.get(key, ""):
                node.set(key, re.sub(r"#([\w-]+-[\w-]+)", renamed, node.attrib[key]))
