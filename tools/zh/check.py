"""The gate between the languages: pure functions that name everything that is wrong with a page in Chinese.

A block is red when its English has changed, when it is missing or left over, when formulas, code, links, numbers or
claims differ, when English is left in it, when a term of the glossary has another name in it, or when it is set as
English is.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from tools.diagrams import COMMENT
from tools.quoted import CODE as SPANS
from tools.quoted import LINK
from tools.quoted import WORDS as NUMERALS
from tools.terms import used
from tools.zh import numbers
from tools.zh.blocks import bare_code, digest, headings, hidden, pieces, with_pieces
from tools.zh.typography import faults as typography

DISPLAY = re.compile(r"\$\$(.*?)\$\$|^\\begin\{(\w+\*?)\}(.*?)^\\end\{\2\}", re.M | re.S)
INLINE = re.compile(r"(?<![\\$])\$(?!\$)([^$\n]+)\$")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
TARGET = re.compile(r"\]\(((?!#)[^()\s]*(?:\([^()]*\)[^()\s]*)*)\)|<(https?://[^>]+)>")
CLAIM = re.compile(r"\b(?:[CEF]\d{1,2})\b")
FIGURE = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
ENGLISH = re.compile(r"(?<![A-Za-z])[A-Za-z][a-z'’]*(?: [a-z][a-z'’-]*){2,}(?![a-z'’-]| [A-Z])")  # "of the Trade" names
NO_PROSE = re.compile(r"(?<!\*)\*[^*\n]+\*(?!\*)|\"[^\"]*\"|“[^”]*”|\([^()]*\d{4}[^()]*\)|（[^（）]*\d{4}[^（）]*）")
TITLE = re.compile(r"(?<!\*)\*[^*\n]+ [^*\n]+ [^*\n]+\*(?!\*)|\"[^\"\n]+\"|\]\([^)]*\)|\[Code of \w+(?=\])")
LABEL = re.compile(r"\"([^\"]+)\"|\|([^|]+)\||^ *acc(?:Title|Descr): *(.+)$", re.M)
OTHERS = re.compile(r"(?<=[a-z]) (?:and others|et al\b\.?)")  # 等, in citations as well
SIZES = (("亿", 1e8), ("百万", 1e6), ("万", 1e4))
Chinese = Mapping[str, Mapping[str, Any]]


def said(name: str, entry: Mapping[str, Any], english: str) -> str:
    """A block in Chinese as it is staged: numbers filled in, and code that it leaves to the English."""
    return numbers.filled(with_pieces(str(entry.get("text", "")).strip(), english), english)


def page(name: str, english: Mapping[str, str], chinese: Chinese, code: Iterable[str] = (),
         terms: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Everything that is wrong with the Chinese of a page.

    Args:
        name: the page, for the messages.
        english: block -> its text.
        chinese: block -> {of, text}, or {of, comments} for code.
        code: the blocks that are code.
        terms: the glossary's entries, with `chinese` and perhaps `also`.
    """
    wrong, coded = [], set(code)
    terms = [term for term in terms if name not in term.get("elsewhere", ())]
    wrong += [f"zh/{name}, {block}: missing" for block in english if block not in chinese]
    wrong += [f"zh/{name}, {block}: left over, no such block in English" for block in chinese if block not in english]
    for block, text in english.items():
        if entry := chinese.get(block):
            found = stale(entry, text)
            if not found:
                found = comments(entry, text) if block in coded else differences(said(block, entry, text), text, terms)
            wrong += [f"zh/{name}, {block}: {words}" for words in found]
    return wrong


def stale(entry: Mapping[str, Any], english: str) -> list[str]:
    """That the English is no longer what the Chinese was made from."""
    return [] if entry.get("of") == digest(english) else [
        f"stale: the English is {digest(english)} now, the Chinese is of {entry.get('of')}"]


def comments(entry: Mapping[str, Any], english: str) -> list[str]:
    """What is wrong with the comments of a code cell."""
    given, wanted = entry.get("comments", []), english.splitlines()
    if len(given) != len(wanted):
        return [f"{len(wanted)} comments in English, {len(given)} in Chinese"]
    return [f"a comment is still English: {words!r}" for words in given if not re.search(r"[\u3400-\u9fff]", str(words))
            and len(re.findall(r"[A-Za-z]{2,}", str(words))) > 2]


def differences(text: str, english: str, terms: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Where a block in Chinese, as staged, says other things than the English, or says them in bad form."""
    wrong = numbers.faults(text, english)
    wrong += _apart("headings", [h.partition(" ")[0] for h in headings(english)],
                    [h.partition(" ")[0] for h in headings(text)])
    wrong += _apart("code", map(bare_code, pieces(english)), map(bare_code, pieces(text)))
    bare, bare_english = (hidden(each) for each in (text, english))
    for kind, found in (("formulas on their own", displays), ("links", targets)):
        wrong += _apart(kind, found(bare_english), found(bare))
    for kind, found in (("formulas", inline), ("code spans", spans), ("claims", claims)):
        wrong += _apart(kind, sorted(set(found(bare_english))), sorted(set(found(bare))))
    return wrong + figures(bare, bare_english) + left(text) + glossary(bare, bare_english, terms) + typography(text)


def _apart(kind: str, english: Iterable[str], chinese: Iterable[str]) -> list[str]:
    wanted, got = Counter(english), Counter(chinese)
    lost, new = list((wanted - got).elements()), list((got - wanted).elements())
    words = [f"lacks {', '.join(lost)}"] * bool(lost) + [f"has {', '.join(new)}"] * bool(new)
    return [f"{kind} differ: the Chinese {' and '.join(words)}"] if words else []


def displays(text: str) -> list[str]:
    """Formulas on their own, without the words in them and their spaces."""
    return [_formula(match[1] or match[3]) for match in DISPLAY.finditer(text)]


def inline(text: str) -> Iterator[str]:
    """Formulas in a line."""
    bare = SPAN.sub("", DISPLAY.sub("", text))
    return (_formula(match[1]) for match in INLINE.finditer(bare))


def _formula(tex: str) -> str:
    tex = re.sub(r"\\(?:text|textrm|mathrm|textbf|operatorname)\{[^{}]*\}", "", tex)
    return re.sub(r"\s+|\\[,;!]|[.,;]$", "", tex).rstrip(".,;")


def spans(text: str) -> Iterator[str]:
    """Code spans."""
    return (match[1] for match in SPAN.finditer(DISPLAY.sub("", text)))


def targets(text: str) -> Iterator[str]:
    """Where links lead, those to records left out."""
    return (match[1] or match[2] for match in TARGET.finditer(text))


def claims(text: str) -> Iterator[str]:
    """The claims and errata that a block names."""
    return iter(CLAIM.findall(_plain(text)))


def _plain(text: str) -> str:
    """Running text alone: no code, formulas, links' addresses or quoted numbers."""
    text = INLINE.sub(" ", SPAN.sub(" ", DISPLAY.sub(" ", hidden(text))))
    text = numbers.LINK.sub(" ", LINK.sub(" ", text))
    return re.sub(r"<[^>]+>", " ", re.sub(r"\]\([^)]*\)", "]", text))


def figures(text: str, english: str) -> list[str]:
    """Numbers of the running text that only one language has; a number word of the English may be figures."""
    plain, plain_english = _plain(text), _plain(english)
    wanted, got = set(_figures(plain_english)), set(_figures(plain))
    scaled = {value * size for value in wanted for size in (1e2, 1e3, 1e6, 1e9)}
    words = {NUMERALS[word] for word in re.findall(r"[a-z]+(?:-[a-z]+)?", plain_english.casefold()) if word in NUMERALS}
    allowed = wanted | words | scaled | {v * s for v in words for s in (10.0, 1e2, 1e3, 1e6, 1e9)} | {2.0, 1.0}
    written = {float(n) for run in re.findall(f"[{numbers.DIGITS}十百千两]+", plain)
               if (n := numbers._number(run)) is not None}
    lost = sorted(value for value in wanted if value not in got and value not in written
                  and not any(value * size in got for size in (1e2, 1e3, 1e6, 1e9)))
    new = sorted(got - allowed)
    return [f"numbers differ: {side} {', '.join(f'{n:g}' for n in some)}"
            for side, some in (("the Chinese lacks", lost), ("the Chinese has", new)) if some]


def _figures(text: str) -> Iterator[float]:
    for match in FIGURE.finditer(text):
        value, rest = float(match[0].replace(",", "").rstrip(".")), text[match.end():].lstrip()
        size = next((size for word, size in SIZES if rest.startswith(word)), 1.0)
        yield float(f"{value * size:.12g}")  # 1.1 × 10⁸ is 110 million


def left(text: str) -> list[str]:
    """English that is left in running text: three words in a row that are no title, citation or code."""
    whole = _plain(text)
    plain = NO_PROSE.sub(" ", OTHERS.sub("", whole))
    labels = (label for drawn in COMMENT.findall(text) for found in LABEL.findall(drawn) for label in found)
    return [f"English is left: {match[0][:60]!r}" for found in (ENGLISH.finditer(plain), OTHERS.finditer(whole))
            for match in found] + [
        f"English is left in a diagram: {label!r}" for label in labels if re.search("[a-z]{2} [a-z]{2}", label)]


def glossary(text: str, english: str, terms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Terms of the English that the Chinese does not call by their name in the glossary."""
    plain, plain_english = text, TITLE.sub(" ", SPANS.sub(" ", english))
    return [f"the glossary says {term['chinese']} for {term['term']}" for term in terms
            if "*" not in term.get("also", ()) and used(term["term"], plain_english)
            and not any(name in plain for name in named(term))]


def named(term: Mapping[str, Any]) -> list[str]:
    """What a term may be called in Chinese: its name, what `also` allows, and a name that both languages share."""
    return [str(name) for name in (term["chinese"], *term.get("also", ()), *([term["term"]] * (
        not term["term"].islower())))]


def change(old: str, new: str) -> str:
    """Two versions of a block as a difference."""
    return "\n".join(list(unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:])



