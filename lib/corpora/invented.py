"""Reviews that no model can have read before: of things that this book made up.

Datasheet:
    Origin. Written for chapter 6 by this book's authors with a language model's help, in November 2026. No model that
        was pretrained earlier can have read them; one that was pretrained later may have.
    Licence. CC BY 4.0, as the text of the book. They lie beside this file, in `invented.csv`.
    Content. English. 196 reviews of one to three sentences, 8 to 27 words: of each of 98 invented products, services,
        places and books one praise and one complaint, so the name predicts nothing. By manner: plain (34 praises, 33
        complaints), indirect (31, 34: what happened is told, the verdict is not), turned (33, 31: the verdict is
        carried by negation, irony or a comparison).
    Labels. By those who wrote them. Read again without labels, in another order and within the hour, 198 of 200 got
        the label that they had; the other two seemed unclear, and both went with their counterparts. The second
        reader was the first, so this excludes slips of the pen and little else.
    Balance. A logistic regression on which words occur is right on 58 % of them (ten folds, whole things held out,
        mean of ten shuffles). 44 praises and 47 complaints negate something; their mean lengths are 18 and 17 words.
        Words were balanced before a model had read a text; none was changed afterwards.
    Known faults. They are no sample of anybody's reviews: one hand, one kind of humour, British spelling, more irony
        than shops see. Whoever wrote them knew what small models find hard.
"""
from __future__ import annotations

import csv
import hashlib
import math
from pathlib import Path

from lib.corpora.sentiment import Sentence

STYLES = ("plain", "indirect", "turned")
"""The manners of writing that `load_invented` knows."""
FILE = Path(__file__).with_name("invented.csv")
FILE_SHA256 = "d649f3c30169407664a4974078d98180fbf66cb33e50cf437f01f141a7d6529a"  # with line feeds alone


def load_invented(style: str | None = None) -> list[Sentence]:
    """The reviews of invented things, in the order of the file; `category` is 1 for praise, `group` names the thing.

    What a model scores here it owes to no memory of the text or of the thing.

    Args:
        style: one of `STYLES`; None takes all.

    Raises:
        ValueError: an unknown style, or a file that is not the one that was published.
    """
    if style not in (None, *STYLES):
        raise ValueError(f"style must be one of {', '.join(STYLES)} or None, got {style!r}")
    text = FILE.read_text("utf-8")  # universal newlines: the same on every system
    if (sha256 := hashlib.sha256(text.encode()).hexdigest()) != FILE_SHA256:
        raise ValueError(f"the sha256 of {FILE.name} must be {FILE_SHA256}, got {sha256}")
    rows = [row for row in csv.DictReader(text.splitlines()) if style in (None, row["style"])]
    return [Sentence(row["text"], math.nan, (), "invented", row["thing"], int(row["label"])) for row in rows]
