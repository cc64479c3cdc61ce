"""Where the sentences come from: a pinned archive of four domains, parsed once and cached, or any hub set.

Datasheet:
    Origin. C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
        Text", ICWSM 2014. The archive `hutto_ICWSM_2014.tar.gz` inside the source distribution `vaderSentiment` 3.3.2.
    Licence. MIT, by the data's authors. Nothing of it is stored in this repository.
    Content. English. movies: 10,605 sentences of reviews; amazon: 3,708 of reviews of 5 products, in 300 reviews;
        tweets: 4,200, of which 170 are variants of 30 others, written to test punctuation, capitals and booster words;
        nyt: 5,190 of opinion articles, in 498 articles.
    Raters. Anonymous; screened, trained and checked, by the authors' account. Whole numbers from -4 to 4. amazon and
        nyt: 20 each; tweets: 20 (3,200 of them) or 92 to 99; movies: 15 to 29, most below 20, where the authors'
        notes say "a minimum of 20".
    Repairs made here. Texts and ratings are joined by identifier (21 amazon rows stand in another order in the two
        files); the rating is the mean of the raters; HTML entities are decoded (twice, as nyt needs); outer white
        space is dropped. Nothing else in a text is changed.
    Known faults. For 199 tweets (the 30 originals and their variants) the published mean is not that of the
        published raters: it differs by 0.33 on average, by 1.13 at most, and never in sign. Repeated texts beyond
        the first: 2 movies, 11 amazon, 60 tweets, 71 nyt ignoring case; 2, 19, 155, 71 ignoring punctuation too.
        The 20 tweet variants that add a booster word are not recognised as repeats. nyt means are small and their
        labels noisy: random halves of a panel agree on 89% of them. Movie sentences are the Rotten Tomatoes snippets,
        which are also the sentences of SST: a checkpoint or teacher trained on SST has seen them.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.corpora._hub import open_parts
from lib.files.fetch import fetch, member
from lib.files.folders import kept
from lib.run.command import command

DOMAINS = ("movies", "amazon", "tweets", "nyt")
"""The names that `load_domain` knows."""
SDIST = "vaderSentiment-3.3.2.tar.gz"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
# of what `_parse` makes of it: a changed parser, a corrupt cache and a cache of another version all differ
RECORDS_SHA256 = "ac651b424d30e236cced9b397d47b6eb70f06baebc997e99589b30d0cc5ba19e"

_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_STEMS = ("movieReviewSnippets", "amazonReviewSnippets", "tweets", "nytEditorialSnippets")  # in the order of DOMAINS
_KINDS = ("GroundTruth", "anonDataRatings")


@dataclass(frozen=True)
class Sentence:
    """One text and what people said of it.

    Args:
        text: the sentence.
        rating: mean of `ratings`, at least -4 (most negative), at most 4; NaN in a hub set, which has classes instead.
        ratings: every rater's rating, whole numbers from -4 to 4.
        domain: one of `DOMAINS`, or the path of a hub set.
        group: the review or article that the sentence is part of; "" where the domain has none.
        category: class in a hub set, from 0; None where the rating decides.
    """

    text: str
    rating: float
    ratings: tuple[int, ...]
    domain: str
    group: str = ""
    category: int | None = None


def load_domain(name: str, *, cache: Path | None = None) -> list[Sentence]:
    """All sentences of one domain, in the order of the source.

    The first call fetches the source with pip (2.4 MB) and caches what it parsed; later calls need no network. A
    damaged cache is named and made again.

    Args:
        name: one of `DOMAINS`.
        cache: folder of the cache; by default the environment's `PROJECT_AND_REGULARIZE_CACHE`, else the user's.

    Raises:
        ValueError: the domain is unknown.
        RuntimeError: there is no cache and pip cannot fetch the source.
        OSError: the disk is full.
    """
    if name not in DOMAINS:
        raise ValueError(f"name must be one of {', '.join(DOMAINS)}, got {name!r}")
    rows = _records(cache)[name]
    return [Sentence(text, sum(r) / len(r), tuple(r), name, group) for text, group, r in rows]


def load_hub(
    path: str, *, text: str = "text", label: str = "label", split: str = "train", config: str | None = None
) -> list[Sentence]:
    """A two-column text classification set through the `datasets` library, as sentences with a `category`.

    Whole-number labels are kept as they are. Labels that are text are numbered in sorted order over all splits, and the
    numbers are printed.

    Args:
        path: name on a hub, or a folder: saved with `save_to_disk`, or of csv, json or parquet files.
        text, label: the columns.
        split: which part of the set.
        config: which of the set's configurations, where it has several.

    Raises:
        ImportError: `datasets` is not installed.
        ValueError: the split or a column does not exist, or the labels are not classes from 0.
    """
    parts = open_parts(path, config, split, (text, label), "load_hub")
    names = sorted({v for part in parts.values() if label in part.column_names for v in part[label] if type(v) is str})
    if names:
        print("classes:", ", ".join(f"{i} = {name}" for i, name in enumerate(names)))
    index: dict[Any, Any] = {name: i for i, name in enumerate(names)}
    sentences = []
    for i, (value, given) in enumerate(zip(parts[split][text], parts[split][label], strict=True)):
        category = index.get(given, given)
        if not isinstance(category, int) or category < 0:
            raise ValueError(f"column {label!r} must hold text or whole numbers from 0, got {given!r} in row {i}")
        if not isinstance(value, str):
            raise ValueError(f"column {text!r} must hold text, got {value!r} in row {i}")
        sentences.append(Sentence(value, math.nan, (), path, category=int(category)))
    return sentences


def _records(cache: Path | None) -> dict[str, list[tuple[str, str, list[int]]]]:
    """(text, group, ratings) of every sentence of every domain."""
    def fill(folder: Path) -> None:
        sdist = fetch(SDIST, SDIST_SHA256, remedy="python -m lib.corpora.sentiment")
        (folder / "records.json").write_bytes(_parse(sdist))

    name = f"sentences-{RECORDS_SHA256[:12]}"
    return kept(name, fill, lambda folder: _checked((folder / "records.json").read_bytes()), cache=cache)


def _checked(found: bytes) -> dict[str, list[tuple[str, str, list[int]]]]:
    if (sha256 := hashlib.sha256(found).hexdigest()) != RECORDS_SHA256:
        raise ValueError(f"the records' sha256 must be {RECORDS_SHA256}, got {sha256}")
    rows: dict[str, list[tuple[str, str, list[int]]]] = json.loads(found)
    return rows


def _parse(sdist: bytes) -> bytes:
    """JSON {domain: [[text, group, ratings], ...]}."""
    archive = member(sdist, _ARCHIVE)
    rows = {}
    for domain, stem in zip(DOMAINS, _STEMS, strict=True):
        texts, ratings = (_table(member(archive, f"hutto_ICWSM_2014/{stem}_{kind}.txt")) for kind in _KINDS)
        raters = {key: json.loads(values) for key, _, _, values in ratings}
        rows[domain] = [
            (html.unescape(html.unescape(text)).strip(), key.partition("_")[0] if "_" in key else "", raters[key])
            for key, _, text in texts
        ]
    return json.dumps(rows, separators=(",", ":")).encode()


def _table(file: bytes) -> list[list[str]]:
    return [line.split("\t") for line in file.decode("utf-8-sig").split("\r\n")]  # one of them has a byte-order mark


def _main() -> None:
    for domain in DOMAINS:
        print(f"{domain}: {len(load_domain(domain)):,} sentences")


if __name__ == "__main__":
    sys.exit(command("python -m lib.corpora.sentiment", _main))
