"""Quoted numbers in Chinese: `[](#name)` is filled with what the English says, and a written one is held to it.

about 66 % is 约 66%, at least 5 points 至少 5 个百分点, a third 三分之一, 22 million 2200 万.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tools.quoted import ABOUT, ABOVE, BELOW, CODE, PARTS, SENSE, SIZES, WORDS, Quote, parse, quotes, said

SENSES = {**dict.fromkeys(ABOUT, "约 "), **dict.fromkeys(BELOW, "不到 "), **dict.fromkeys(ABOVE, "超过 "),
          "at most": "至多 ", "up to": "至多 ", "within": "不超过 ", "at least": "至少 "}
KINDS = {"about": ("约", "大约", "大概", "左右"), "below": ("不到", "少于", "低于", "至多", "最多", "不超过", "小于"),
         "above": ("超过", "多于", "高于", "至少", "大于")}
UNITS = {"": "", "%": "%", "per cent": "%", "percent": "%", "points": " 个百分点", "point": " 个百分点",
         "percentage points": " 个百分点", "times": " 倍", "nats": " 奈特", "nat": " 奈特", "seconds": " 秒",
         "s": " 秒", "ms": " 毫秒", "milliseconds": " 毫秒", "minutes": " 分钟", "mb": " MB", "gb": " GB",
         "kb": " KB", "steps": " 步", "sentences": " 句", "epochs": " 轮", "seeds": " 个随机种子",
         "bits": " 位", "words": " 个词", "tokens": " 个词元", "labels": " 个标签",
         "directions": " 个方向", "examples": " 个样例", "chrf": " chrF", "megabytes": " MB", "hours": " 小时"}
MYRIADS = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
DECIMAL = re.compile(rf"([-+\N{{MINUS SIGN}}]?(?:10[{RAISED}]+|[\d,]*\.?\d+(?: ?× ?10[{RAISED}]+)?)) ?(.*)")
DIGITS = "零一二三四五六七八九"
BEFORE = "|".join(sorted((word for words in KINDS.values() for word in words if word != "左右"), key=len, reverse=True))
LINK = re.compile(rf"(?:(?P<before>{BEFORE})\s*)?\[(?P<text>[^\[\]\n]*)\]\(#(?P<name>[a-z][a-z0-9_]*)\)")


def links(text: str) -> Iterator[re.Match[str]]:
    """The links to records in Chinese Markdown, outside code: `before`, `text` and `name`."""
    for part in CODE.split(text)[::2]:
        yield from LINK.finditer(part)


def chinese(text: str) -> str | None:
    """A quoted number of the English text in Chinese; None where the table of units has no word for it."""
    plain = " ".join(text.replace("*", "").split())
    sense = re.match(rf"({SENSE})\b ?", plain, re.I)
    head, plain = (SENSES[sense[1].casefold()], plain[sense.end():]) if sense else ("", plain)
    digits = DECIMAL.match(plain)
    if digits:
        number, unit = digits[1], digits[2].casefold()
    else:
        plain = re.sub(r"^an? (?=\w)", "", plain.casefold())
        first, _, rest = plain.partition(" ")
        second = rest.partition(" ")[0].removesuffix("s")
        if first in ("half", "halve"):
            return f"{head}一半" if not rest else None
        if first in ("twice", "double"):
            return f"{head}2 倍" if not rest else None
        if part := PARTS.get(first):
            return f"{head}{_written(part)}分之一" if not rest else None
        if first in WORDS and second in PARTS:
            return f"{head}{_written(PARTS[second])}分之{_written(int(WORDS[first]))}" if " " not in rest else None
        if first in SIZES:
            number, unit = "1", plain
        elif first in WORDS:
            number, unit = f"{WORDS[first]:g}", rest
        else:
            return None
    size, _, rest = unit.partition(" ")
    if size in MYRIADS:
        value = float(number.replace(",", "")) * MYRIADS[size]
        big, name = next(((n, word) for n, word in ((1e8, " 亿"), (1e4, " 万")) if abs(value) >= n), (1.0, ""))
        number, unit = f"{value / big:.10g}{name}", rest
    if unit not in UNITS:
        return None
    return head + number + UNITS[unit]


def _written(number: int) -> str:
    """A small whole number in Chinese: 3 is 三, 12 is 十二, 20 is 二十."""
    if number < 10:
        return DIGITS[number]
    tens, ones = divmod(number, 10)
    if number < 100:
        return ("" if tens == 1 else DIGITS[tens]) + "十" + (DIGITS[ones] if ones else "")
    return {100: "百", 1000: "千"}.get(number, str(number))


def _number(text: str) -> int | None:
    """三十二 is 32; None where the text is no such number."""
    if text in ("百", "一百"):
        return 100
    if text in ("千", "一千"):
        return 1000
    if text == "两":
        return 2
    match = re.fullmatch(f"([{DIGITS}]?)(十?)([{DIGITS}]?)", text)
    if not match or not text:
        return None
    if not match[2]:
        return DIGITS.index(text) if len(text) == 1 else None
    return 10 * (DIGITS.index(match[1]) if match[1] else 1) + (DIGITS.index(match[3]) if match[3] else 0)


def read(text: str) -> Quote | None:
    """What a Chinese text says, the words before the link and the link's own; None where it says no number."""
    plain = re.sub(r"\s+", "", text.replace("\N{MINUS SIGN}", "-"))
    sense = "equal"
    for kind, words in KINDS.items():
        for word in sorted(words, key=len, reverse=True):
            if plain.startswith(word) or plain.endswith(word):
                sense, plain = kind, plain.removeprefix(word).removesuffix(word)
    if match := re.fullmatch(f"([{DIGITS}十百千两]+)分之([{DIGITS}十两]+)", plain):
        low, high = _number(match[1]), _number(match[2])
        return Quote(high / low, 0, "fraction", sense) if low and high else None
    if plain in ("一半", "半"):
        return Quote(0.5, 0, "fraction", sense)
    digits = re.match(r"([-+]?[\d,]*\.?\d+)(?:[×x]10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?(.*)", plain)
    if digits:
        value, rest = float(digits[1].replace(",", "")), digits[3]
        power = digits[2]
        if digits[1] == "10" and (raised := re.match(f"[{RAISED}]+", rest)):
            value, power, rest = 1.0, raised[0], rest[raised.end():]
        if power:
            value *= 10.0 ** int(power.translate(str.maketrans(RAISED, "-0123456789")))
    else:
        match = re.match(f"[{DIGITS}十百千两]+", plain)
        whole = _number(match[0]) if match else None
        if match is None or whole is None:
            return None
        value, rest = float(whole), plain[match.end():]
    for word, size in (("百万", 1e6), ("亿", 1e8), ("万", 1e4), ("千", 1e3)):
        if rest.startswith(word):
            value, rest = value * size, rest.removeprefix(word)
            break
    kind = "hundredths" if rest.startswith(("%", "个百分点", "个点", "百分点", "点")) else "plain"
    return Quote(value, 0, kind, sense)


def filled(text: str, english: str) -> str:
    """Chinese with each `[](#name)` filled from the English block, the first of a name from the first."""
    waiting: dict[str, list[str]] = {}
    for match in quotes(english):
        waiting.setdefault(match["name"], []).append(said(match))
    order: dict[str, int] = {}

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        index = order[name] = order.get(name, -1) + 1
        own = waiting.get(name, [])
        if match["text"] or index >= len(own):
            return match[0]
        return f"[{chinese(own[index]) or ''}](#{name})"

    return "".join(part if index % 2 else spaced(LINK.sub(fill, part)) for index, part in enumerate(CODE.split(text)))


def spaced(text: str) -> str:
    """Text with a space between Chinese and the figures of a link to a record."""
    text = re.sub(r"(?<=[\u3400-\u9fff])(?=\[[-+\N{MINUS SIGN}\dA-Za-z][^\]]*\]\(#)", " ", text)
    return re.sub(r"([\w%]\]\(#[a-z][a-z0-9_]*\))(?=[\u3400-\u9fff])",
                  lambda match: match[1] + " " * match[1][0].isascii(), text)


def faults(text: str, english: str) -> list[str]:
    """What is wrong with the quoted numbers of a Chinese block, filled, beside those of the English one."""
    wrong, waiting = [], [(match["name"], said(match)) for match in quotes(english)]
    for match in links(text):
        name, shown = match["name"], (match["before"] or "") + match["text"]
        own = [each for each in waiting if each[0] == name]
        if not own:
            wrong.append(f"{match[0]} links to a record that the English does not quote here")
            continue
        if not match["text"]:
            wrong.append(f"{match[0]}: write the number; no table says {own[0][1]!r} in Chinese")
            waiting.remove(own[0])
            continue
        fits = next((each for each in own if _same(read(shown), parse(each[1]))), None)
        if fits is None:
            wrong.append(f"{match[0]} says {shown!r}, the English says {' or '.join(repr(each[1]) for each in own)}")
        waiting.remove(fits or own[0])
    return wrong + [f"the quoted number {words!r} of {name} is missing" for name, words in waiting]


def _same(one: Quote | None, other: Quote | None) -> bool:
    if one is None or other is None:
        return False
    return abs(one.value - other.value) <= 1e-9 * max(1.0, abs(other.value)) and \
        replace(one, value=0, slack=0) == replace(other, value=0, slack=0)
