"""How Chinese is set, as a lint: full-width marks, a space between Chinese and Latin, and bold that Markdown sees."""
from __future__ import annotations

import re

HAN = r"\u3400-\u9fff"
FULL = "，。；：？！、（）「」『』《》“”…—"
RULES = (
    (rf"[{HAN}][,;:?!]", "a half-width mark after Chinese (，；：？！)"),
    (rf"[{HAN}]\.(?!\w)", "a half-width full stop after Chinese (。)"),
    (rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9%][{HAN}]", "no space between Chinese and Latin or figures"),
    (rf"[{HAN}]\([^)]|\)[{HAN}]", "half-width parentheses in Chinese (（ ）)"),
    (rf" [{FULL[:6]}、）」』》]|[，。；：？！、（「『《] +(?=[{HAN}A-Za-z0-9])|[{HAN}] +“|” +[{HAN}]",
     "a space beside a full-width mark"),
    (rf"((?!一)[{HAN}]{{3,}})\1", "the same words twice"),
    (r"[，。、；：]{2,}", "two marks in a row"),
)
BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
NOT_SET = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|<[^>\n]+>|^:::.*$|^\{[^}]*\}$|^\([\w-]+\)=$"
                     r"|https?://\S+|\{#[\w-]+\}|^\|[-:| ]+\|$", re.S | re.M)


def faults(text: str) -> list[str]:
    """What is set in the wrong way in a block of Chinese Markdown."""
    wrong = [f"bold that prints its asterisks: {match[0]}" for match in BOLD.finditer(text) if unseen(match)]
    plain = NOT_SET.sub(lambda match: "\x00" if match[0].startswith(("`", "$", "<http")) else
                        "" if match[0].startswith("<") else " ", text)
    plain = re.sub(r"!?\[([^\[\]]*)\]\([^)]*\)", r"\1", plain)
    plain = re.sub(r"“[^”\n]*”", "“”", plain)  # the source is quoted as it is set
    plain = re.sub(r"\*\*|(?<!\*)\*(?!\*)", "", plain)
    for pattern, words in RULES:
        if match := re.search(pattern, plain):
            around = plain[max(0, match.start() - 8): match.end() + 8].replace("\n", " ").replace("\x00", "·")
            wrong.append(f"{words}: …{around}…")
    if match := re.search(rf"[{HAN}]\x00|\x00[{HAN}]", plain):
        around = plain[max(0, match.start() - 8): match.end() + 8].replace("\n", " ").replace("\x00", "·")
        wrong.append(f"no space between Chinese and a formula or code: …{around}…")
    return wrong


def unseen(bold: re.Match[str]) -> bool:
    """Whether Markdown does not see bold: it begins or ends with a mark, and a sign that is none stands beside it."""
    before, after = bold.string[:bold.start()][-1:], bold.string[bold.end():][:1]
    return any(mark in FULL and re.match(rf"[{HAN}A-Za-z0-9]", beside) is not None
               for mark, beside in ((bold[1][0], before), (bold[1][-1], after)))
