"""A picture for each diagram of a chapter: a notebook shows it, the site draws the source.

The source stands in a comment, which no notebook shows; JupyterLab would draw a fence, Colab print it, and either has
the picture as well. In a comment an arrow is `==>`, since Mermaid's own would end it. The picture is a data address at
the end of its cell: Colab shows no attachment of a cell and no file beside a notebook.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

COMMENT = re.compile(r"^<!-- mermaid\n((?:(?!-->).)*?)^-->$", re.MULTILINE | re.DOTALL)
DATA = re.compile(r"^\[(diagram-\w+)\]: data:image/png;base64,(\S+)$", re.MULTILINE)
OURS = re.compile(r"\n\n(?:!\[[^\n]*\]\[diagram-\w+\]|\[diagram-\w+\]: [^\n]*)(?=\n|$)")


def name(source: str) -> str:
    """What the picture of this source is called: another source, another picture."""
    return f"diagram-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def sources(text: str) -> list[str]:
    """The sources of a cell's diagrams, in order, as Mermaid reads them."""
    return [source.replace("==>", "-->") for source in COMMENT.findall(text)]


def bare(text: str) -> str:
    """A cell's text without the pictures of its diagrams."""
    return OURS.sub("", text)


def illustrated(text: str, pictures: Mapping[str, str]) -> str:
    """A cell's text with the picture of each diagram after it; the pictures themselves stand at the end.

    Args:
        text: the text, with pictures or without.
        pictures: name -> PNG in base64, at least of the diagrams in this text.
    """
    def shown(match: re.Match[str]) -> str:
        words = re.search("accDescr: *(.+)", match[1])
        (source,) = sources(match[0])
        return f"{match[0]}\n\n![{words[1] if words else ''}][{name(source)}]"

    names = dict.fromkeys(name(source) for source in sources(text))
    return COMMENT.sub(shown, bare(text)) + "".join(
        f"\n\n[{name}]: data:image/png;base64,{pictures[name]}" for name in names)


def faults(text: str) -> list[str]:
    """What is wrong with the diagrams of a cell: one that cannot be read, or has no picture of its present source."""
    pictures = dict(DATA.findall(text))
    if len(re.findall(r"(?:[`~]{3,} *\{?|<!-- *)mermaid", text)) != len(sources(text)):
        return ["a diagram must stand between lines that read <!-- mermaid and -->, with ==> for an arrow"]
    if any(name(source) not in pictures for source in sources(text)):
        return ["a diagram lacks the picture of its present source (`make preview` draws it)"]
    return [] if illustrated(text, pictures) == text else ["a picture is not beside its diagram (`make preview`)"]
