"""The book in another language: what code prints or draws, said again string by string, whole or not at all.

`chapters/zh/words/` holds the strings: a template in English, with named values, and the same in Chinese. One function
serves twice: when the site is staged, on the outputs of the one run that both languages share, and in the kernel of a
notebook whose parameters say `LANGUAGE = "zh"`.
"""
from __future__ import annotations

import html
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from IPython import get_ipython

FOLDER = Path(__file__).resolve().parents[2] / "chapters"
LANGUAGES = ("en", "zh")
WORD = re.compile(r"(?<![\w.])[A-Za-z][A-Za-z'’]+(?![\w(=]|\.\w)")  # two letters or more, and no piece of code
NUMBER = r"[-+\u2212]?\d(?:[\d,]*\d)?[^\s,;:\]]*"
SENTENCE = re.compile(r"(?<![\w./#-])[A-Za-z]{2,} [a-z]{2,}(?![\w(=.])")  # words side by side, which no name has
GAPS = re.compile(r"( {2,})")  # between the columns of what is printed
TAG = re.compile(r"(<script\b.*?</script>|<[^>]*>)", re.S)
SPELT = re.compile(r"(?P<head><text[^>]*>)(?P<signs>(?:\s*<tspan[^>]*>(?:[^<&]|&[^<;]+;)</tspan>){2,})\s*</text>")
SAID = re.compile(r'(\s(?:aria-label|aria-valuetext|aria-description|data-words)=")([^"]*)(")')
LISTED = re.compile(r'(\s(?:data-values|data-told)=")([^"]*)(")')


class Catalogue:
    """Strings of one language by their English, and a note of what was asked of it.

    Args:
        entries: template -> the same in the language, with the same `{named}` values; `{{` is a brace. What `{name!s}`
            stands for is said as well, `{name:n}` is a number, `{name!r}` is data in whatever language; any other value
            is a name, a word of data or a string of the catalogue, never a sentence, which would stay English.
        names: words that stay as they are: names of methods, models and data.

    Raises:
        ValueError: an entry whose two sides name different values.
    """

    def __init__(self, entries: Mapping[str, str], names: Iterable[str] = ()) -> None:
        self.entries, self.names = dict(entries), frozenset(names)
        self.used: set[str] = set()
        self.missing: dict[str, None] = {}
        self._templates: list[tuple[re.Pattern[str], str]] = []
        for english, said in self.entries.items():
            if _values(english) != _values(said):
                raise ValueError(f"both sides must name the same values, got {english!r}: {said!r}")
            if "{" in english:
                self._templates.append((_pattern(english), english))
        self._templates.sort(key=lambda pair: -len(re.sub(r"\{.*?\}", "", pair[1])))  # the most literal one first

    def say(self, text: str, *, asked: bool = True) -> str:
        """A string in the language, with the blanks around it; as it is where the catalogue has no entry.

        Args:
            text: matched whole.
            asked: whether a lack is noted in `missing`.
        """
        key = " ".join(text.split())
        head, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()):]
        found = self._found(key, asked)
        if found is None:
            if asked and key and self.needs(key):
                self.missing[key] = None
            return text
        return head + found + tail

    def _found(self, key: str, asked: bool = False) -> str | None:
        if key in self.entries:
            self.used.add(key)
            return self.entries[key]
        for pattern, english in self._templates:
            if match := pattern.fullmatch(key):
                self.used.add(english)
                said, data = _converted(english, "s"), _converted(english, "r")
                values = {name: self.say(value) if name in said else self._inner(value)
                          for name, value in match.groupdict().items()}
                if asked and any(value == match[name] and SENTENCE.search(value) and name not in said | data
                                 for name, value in values.items()):
                    self.missing[key] = None
                return _filled(self.entries[english], values)
        return None

    def _inner(self, value: str) -> str:
        """A named value: what the catalogue has as it stands is said, all else is data."""
        if value in self.entries:
            self.used.add(value)
        return self.entries.get(value, value)

    def needs(self, text: str) -> bool:
        """Whether a string has English words in it that are no names and no code; Chinese beside them is no excuse.

        Args:
            text: whole.
        """
        return any(word not in self.names for word in WORD.findall(text))

    def markup(self, shown: str, *, asked: bool = True) -> str:
        """HTML or SVG with its texts, labels and alternative texts in the language; code between them stays.

        Args:
            shown: as a cell shows it.
            asked: whether a lack is noted in `missing`.
        """
        shown = SPELT.sub(lambda match: self._spelt(match, asked), shown)
        shown = re.sub(r"<code>(.*?)</code>", "\x01\\1\x02", shown, flags=re.S)
        parts = [self._tag(part, asked) if number % 2 else self._text(part, asked)
                 for number, part in enumerate(TAG.split(shown))]
        joined = re.sub("\x01(.*?)\x02", r"<code>\1</code>", "".join(parts), flags=re.S)
        return re.sub(r"(?<=[。！？：；，、])(</strong>) +", r"\1", joined)

    def _spelt(self, match: re.Match[str], asked: bool) -> str:
        """A label with a formula in it, which is drawn sign by sign, as one string in the style of its first sign."""
        plain = html.unescape("".join(re.findall(r"([^<>]+)</tspan>", match["signs"])))
        said = self.say(plain, asked=asked)
        first = re.match(r"\s*(<tspan[^>]*>)", match["signs"])
        return match[0] if said == plain or not first else (
            f"{match['head']}{re.sub('font-style: ?[a-z]+;? ?', '', first[1])}{html.escape(said)}</tspan></text>")

    def _text(self, part: str, asked: bool) -> str:
        if not part.strip():
            return part
        plain = html.unescape(re.sub("[\x01\x02]", "`", part))
        said = self.say(plain, asked=asked)
        return part if said == plain else re.sub("`([^`]+)`", "\x01\\1\x02", html.escape(said, quote=False))

    def _tag(self, tag: str, asked: bool) -> str:
        def attribute(match: re.Match[str]) -> str:
            return f"{match[1]}{html.escape(self.say(html.unescape(match[2]), asked=asked))}{match[3]}"

        def listed(match: re.Match[str]) -> str:
            return match[1] + html.escape(json.dumps(self._deep(json.loads(html.unescape(match[2])), asked))) + match[3]

        return LISTED.sub(listed, SAID.sub(attribute, tag)) if tag.startswith("<") and "=" in tag else tag

    def _deep(self, value: Any, asked: bool) -> Any:
        if isinstance(value, list):
            return [self._deep(each, asked) for each in value]
        if isinstance(value, dict):
            return {key: self._deep(each, asked) for key, each in value.items()}
        return self.say(value, asked=asked) if isinstance(value, str) else value

    def printed(self, text: str, *, asked: bool = True) -> str:
        """What a cell prints, line by line; a line without an entry is cut into its columns, which stay in line.

        Args:
            text: any number of lines.
            asked: whether a lack is noted in `missing`.
        """
        return "".join(self._line(line, asked) for line in text.splitlines(keepends=True))

    def _line(self, line: str, asked: bool) -> str:
        if self._found(" ".join(line.split())) is not None or not GAPS.search(line.strip()):
            return self.say(line, asked=asked)
        said, place, width = "", 0, 0
        for number, part in enumerate(GAPS.split(line)):
            place += len(part)
            if number % 2:
                part = " " * max(2, place - width) if width else part
            else:
                part = self.say(part, asked=asked)
            said, width = said + part, width + _columns(part)
        return said

    def output(self, data: Mapping[str, Any], *, asked: bool = True) -> dict[str, Any]:
        """What a cell shows, in all its forms.

        Args:
            data: MIME type -> content; plain text is left where there is HTML.
            asked: whether a lack is noted in `missing`.
        """
        shown = dict(data)
        for kind, change in (("text/html", self.markup), ("image/svg+xml", self.markup)):
            if kind in shown:
                shown[kind] = change("".join(shown[kind]), asked=asked)
        if "text/plain" in shown and "text/html" not in shown:
            shown["text/plain"] = self.printed("".join(shown["text/plain"]), asked=asked)
        return shown


def _values(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _converted(template: str, kind: str) -> set[str]:
    """The values of a template with this conversion: words of the book as in `{effect!s}`, or data as in `{text!r}`."""
    return {name for _, name, _, conversion in Formatter().parse(template) if name is not None and conversion == kind}


def _pattern(template: str) -> re.Pattern[str]:
    """A template as an expression: a value that is named twice is the same twice."""
    parts, seen = "", set[str]()
    for literal, name, kind, _ in Formatter().parse(template):
        parts += re.escape(literal)
        if name is not None:
            parts += f"(?P={name})" if name in seen else f"(?P<{name}>{NUMBER if kind == 'n' else '.+?'})"
            seen.add(name)
    return re.compile(parts)


def _filled(template: str, values: Mapping[str, str]) -> str:
    return "".join(literal + (values[name] if name is not None else "")
                   for literal, name, _, _ in Formatter().parse(template))


def _columns(text: str) -> int:
    """How many columns a text takes where letters have one width and Chinese signs two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


@cache
def catalogue(language: str, chapter: str = "") -> Catalogue:
    """The strings of a language: the book's, and a chapter's own.

    Args:
        language: "zh"; in "en" nothing is replaced.
        chapter: the notebook's name, whose number names the file; "" for the book's alone.

    Raises:
        ValueError: a language that the book does not have.
    """
    if language not in LANGUAGES:
        raise ValueError(f"LANGUAGE must be one of {', '.join(LANGUAGES)}, got {language!r}")
    return Catalogue({}) if language == "en" else read(FOLDER / language / "words", "book", chapter[:2])


def read(folder: Path, *files: str) -> Catalogue:
    """The catalogue that some files of a folder make.

    Args:
        folder: each file may hold `strings`, template -> the same in the language, and `names`, words that stay.
        files: their names without their ending; one that is not there adds nothing.

    Raises:
        ValueError: an entry whose two sides name different values.
    """
    import yaml  # comes with transformers

    entries, names = dict[str, str](), list[str]()
    for name in files:
        if (path := folder / f"{name}.yml").is_file():
            held = yaml.safe_load(path.read_text("utf-8")) or {}
            entries |= held.get("strings", {})
            names += held.get("names", [])
    return Catalogue(entries, names)


class _Stream:
    """Standard output that says whole lines in the language; half a line waits, or goes out as it is when flushed."""

    def __init__(self, inner: Any, words: Catalogue) -> None:
        self._inner, self._words, self._waiting = inner, words, ""

    def write(self, text: str) -> int:
        lines, end, self._waiting = (self._waiting + text).rpartition("\n")
        if end:
            self._inner.write(self._words.printed(lines + end, asked=False))
        return len(text)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, ""
        self._inner.write(waiting)
        self._inner.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def speak(chapter: str) -> str:
    """Let this kernel show and print in the notebook's `LANGUAGE`, and return it; "en" where it names none.

    Args:
        chapter: the notebook's name, whose strings are used beside the book's.

    Raises:
        ValueError: a language that the book does not have.
    """
    shell = get_ipython()
    language = str(shell.user_ns.get("LANGUAGE", "en")) if shell else "en"
    words = catalogue(language, chapter)
    if shell and language != "en":
        publisher = shell.display_pub
        publish = getattr(publisher, "published", publisher.publish)  # a cell that runs again replaces the last one

        def said(data: Mapping[str, Any], *others: Any, **settings: Any) -> Any:
            return publish(words.output(data, asked=False), *others, **settings)

        publisher.published, publisher.publish = publish, said
        inner: Any = sys.stdout
        sys.stdout = _Stream(getattr(inner, "_inner", inner), words)
    return language
