"""How a term of the glossary is found in text: by the page of terms and by the links from first use, in one way."""
from __future__ import annotations

import re


def used(term: str, text: str) -> re.Match[str] | None:
    """The term as a word or as words, in any case, in the singular or the plural; in cross-entropy is no entropy.

    A Chinese one, which has no blanks around it, is found wherever it stands.
    """
    if re.search(r"[\u3400-\u9fff]", term):
        return re.search(re.escape(term), text)
    words = r"\s+".join(map(re.escape, term.split()))
    return re.search(rf"(?<![\w-]){words}(?:s|es)?\b", text, re.I)
