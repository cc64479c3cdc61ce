"""What a page's HTML needs so that lines break well and tables can be read on a phone: from string to string."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup

SHORT = 24  # signs: what is shorter stays on one line, at 390 pixels too
MATH = "<!-- math -->"  # ends each formula until `whole` has seen it: spans cannot be counted by a pattern
AFTER = r"([,.;:!?)\]’”]*)"
CODE = re.compile(rf'(\(?)(<code\b[^>]*>)(.*?)(</code>){AFTER}', re.DOTALL)
FORMULA = re.compile(rf'(\(?)(<span class="math( short)?">)(.*?){MATH}(</span>){AFTER}', re.DOTALL)
TABLE = re.compile(r'<table\b[^>]*\bclass="[^"]*\bstack\b[^"]*".*?</table>', re.DOTALL)
LISTING = re.compile(r'<div class="highlight">.*?</pre>', re.DOTALL)
TOKEN = re.compile(r'<span class="(\w+)">([^<]*)</span>')
COLOURED = frozenset("k kn kc ow kd s1 s2 sa sd si se mi mf mh c c1 ch nf nc fm nd nb bp".split())  # by book.css
PROMPTS = {"gp", "go"}  # and what was answered: book.js copies neither
ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "th": "columnheader", "td": "cell"}


def formula(drawn: str, tex: str) -> str:
    """A drawn formula for a line of text, ready for `whole`; commands count as one sign."""
    signs = re.sub(r"[{}^_&\s]", "", re.sub(r"\\[A-Za-z]+", "x", tex))
    kind = "math short" if len(signs) < SHORT else "math"
    return f'<span class="{kind}">{drawn}{MATH}</span>'


def whole(page: str) -> str:
    """Keep short code and formulas on one line with a bracket before and punctuation after; long names may break.

    Code breaks after `_` and `/`, and after a dot before a letter.
    """
    def code(match: re.Match[str]) -> str:
        before, start, inner, end, after = match.groups()
        if len(re.sub(r"<[^>]*>|&\w+;", "", inner)) < SHORT:
            return _kept(before, start + inner + end, after)
        breaking = re.sub(r"(?<=\w)([_/]|\.(?=[A-Za-z]))(?=\w)(?![^<]*>)", r"\1<wbr>", inner)
        return before + start + breaking + end + after

    def drawn(match: re.Match[str]) -> str:
        before, start, short, inner, end, after = match.groups()
        return _kept(before, start + inner + end, after) if short else before + start + inner + end + after

    return FORMULA.sub(drawn, CODE.sub(code, page))


def _kept(before: str, shown: str, after: str) -> str:
    return f'<span class="whole">{before}{shown}{after}</span>'


def stacked(page: str) -> str:
    """Let each cell of a table of class `stack` say its column, and each part its role, which the style sheet's
    blocks would hide from who hears the table.
    """
    def told(match: re.Match[str]) -> str:
        table = BeautifulSoup(match[0], "html.parser")
        labels = [cell.get_text(" ", strip=True) for cell in table.select("thead th")]
        for row in table.select("tbody tr"):
            for label, cell in zip(labels, row.select("td"), strict=True):
                cell["data-label"] = label
                if not cell.get_text(strip=True):
                    cell.clear()
        for name, role in ROLES.items():
            for node in table.select(name):
                node["role"] = role
        return str(table)

    return TABLE.sub(told, page)


def plain(page: str) -> str:
    """Listings without the marks that the style sheet gives no colour: names, signs and gaps, most of them."""
    def token(match: re.Match[str]) -> str:
        return match[0] if match[1] in COLOURED | PROMPTS else match[2]

    return LISTING.sub(lambda listing: TOKEN.sub(token, listing[0]).replace("<pre><span></span>", "<pre>"), page)
