"""Examples of `lib.book.languages`; see `tests/lib/test_examples.py`."""

# %% Catalogue
from lib.book.languages import Catalogue

words = Catalogue({"loss": "损失", "epoch {n}": "第 {n} 轮"})
assert words.say("epoch 3") == "第 3 轮" and words.say("rate") == "rate" and list(words.missing) == ["rate"]

# %% Catalogue.say
from lib.book.languages import Catalogue

words = Catalogue({"{n} of {kind}": "{kind}中的 {n} 个", "all": "全部"})
assert words.say("3 of all") == "全部中的 3 个"

# %% Catalogue.needs
from lib.book.languages import Catalogue

words = Catalogue({}, names=["Adam"])
assert words.needs("a rate") and not words.needs("Adam, 3.5") and not words.needs("y = f(x)")

# %% Catalogue.markup
from lib.book.languages import Catalogue

words = Catalogue({"use `ridge` here": "这里用 `ridge`", "A line.": "一条线。"})
assert words.markup("<p>use <code>ridge</code> here</p>") == "<p>这里用 <code>ridge</code></p>"
assert words.markup('<svg aria-label="A line.">') == '<svg aria-label="一条线。">'

# %% Catalogue.printed
from lib.book.languages import Catalogue

words = Catalogue({"rank": "秩", "kept": "保留"})
assert words.printed("rank  kept\n   8   0.5\n") == "秩    保留\n   8   0.5\n"

# %% Catalogue.output
from lib.book.languages import Catalogue

words = Catalogue({"loss": "损失"})
assert words.output({"text/html": "<text>loss</text>", "text/plain": "loss"})["text/html"] == "<text>损失</text>"

# %% catalogue
from lib.book.languages import catalogue

assert catalogue("en").say("loss") == "loss" and catalogue("zh", "04-mathematics").say("Correct.") == "正确。"

# %% read
import tempfile
from pathlib import Path

from lib.book.languages import read

with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "04.yml").write_text("names: [Adam]\nstrings: {loss: 损失}\n", encoding="utf-8")
    words = read(Path(folder), "book", "04")
assert words.say("loss") == "损失" and words.names == {"Adam"}

# %% speak
from lib.book.languages import speak

assert speak("04-mathematics") == "en"  # outside a notebook nobody names a LANGUAGE
