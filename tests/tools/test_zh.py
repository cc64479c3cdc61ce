"""The gate between the languages: every way of falling behind is seen red, and what is whole is not."""
from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.book.cards import RESULT
from lib.book.languages import Catalogue
from tests.tools.tiny_book import Book, executed, result
from tools import diagrams
from tools.notebooks import ROOT, chapters, read
from tools.quoted import quotes, said, texts
from tools.zh import blocks, check, gate, lines, notebook, numbers, stage, typography

ENGLISH = ("## Does it shrink?\n\n**Predict first.** With $\\lambda=2$ the `ridge` keeps about [66 %](#kept) of it, "
           "and claim C3 has [a third](#third). See [chapter 2](02-b.ipynb), 40 runs of fine-tuning.\n\n$$\na=b+1\n$$")
CHINESE = ("## 它会收缩吗？\n\n**先预测**。当 $\\lambda=2$ 时，`ridge` 保留其中的 [](#kept)，论断 C3 则是 [](#third)。"
           "见[第 2 章](02-b.ipynb)，共 40 次微调。\n\n$$\na=b+1\n$$")
TERMS = [{"term": "fine-tuning", "chinese": "微调"}]


def wrong(chinese: str, english: str = ENGLISH, of: str = ENGLISH) -> list[str]:
    return check.page("01-a", {"cell": english}, {"cell": {"of": blocks.digest(of), "text": chinese}}, terms=TERMS)


def test_a_whole_block_is_not_red_and_its_numbers_are_filled_in() -> None:
    assert wrong(CHINESE) == []
    filled = check.said("cell", {"text": CHINESE}, ENGLISH)
    assert "[约 66%](#kept)" in filled and "[三分之一](#third)" in filled


@pytest.mark.parametrize(("old", "new", "words"), [
    ("当", "若", "stale"),  # of the English, below
    ("\\lambda=2", "\\lambda=3", "formulas differ"),
    ("a=b+1", "a=b-1", "formulas on their own differ"),
    ("`ridge`", "`lasso`", "code spans differ"),
    ("(02-b.ipynb)", "(03-c.ipynb)", "links differ"),
    ("[](#kept)", "[约 67%](#kept)", "says '约 67%'"),
    ("[](#kept)", "[66%](#kept)", "says '66%'"),
    ("[](#third)", "", "is missing"),
    ("[](#third)", "[](#other)", "does not quote"),
    ("40 次", "41 次", "numbers differ"),
    ("C3", "C4", "claims differ"),
    ("微调", "精调", "the glossary says 微调 for fine-tuning"),
    ("## 它", "### 它", "headings differ"),
    ("共 40 次", "共 40 次 runs of the same kind", "English is left"),
    ("共 40 次", "Hu and others 共 40 次", "English is left: ' and others'"),
    ("共 40 次", "（Hu et al. 2022）共 40 次", "English is left: ' et al.'"),
    ("**先预测**。", "**先预测。**", "bold that prints its asterisks"),
    ("，共", ",共", "half-width mark"),
    ("共 40", "共40", "no space between Chinese and Latin"),
])
def test_each_difference_is_red(old: str, new: str, words: str) -> None:
    english = ENGLISH.replace("Predict", "Guess") if words == "stale" else ENGLISH
    found = wrong(CHINESE.replace(old, new, 1), english)
    assert any(words in each for each in found), found


def test_a_cell_that_is_missing_or_left_over_is_red() -> None:
    entry = {"of": blocks.digest("A."), "text": "甲。"}
    assert check.page("p", {"a": "A.", "b": "B."}, {"a": entry}) == ["zh/p, b: missing"]
    assert check.page("p", {"a": "A."}, {"a": entry, "b": entry}) == [
        "zh/p, b: left over, no such block in English"]


@pytest.mark.parametrize(("english", "chinese"), [
    ("about 66 %", "约 66%"), ("at least 5 points", "至少 5 个百分点"), ("two thirds", "三分之二"), ("half", "一半"),
    ("22 million", "2200 万"), ("ten times", "10 倍"), ("10⁻⁶", "10⁻⁶"), ("less than 0.5 nats", "不到 0.5 奈特"),
    ("forty zebras", None),
])
def test_numbers_have_a_form_in_chinese(english: str, chinese: str | None) -> None:
    assert numbers.chinese(english) == chinese


def test_every_number_that_is_filled_in_reads_back_as_the_english_one() -> None:
    """The reader of Chinese numbers is another function than the writer, and the English one a third."""
    every = [said(match) for _, text in texts(ROOT) for match in quotes(text)]
    done = [(words, made) for words in every if (made := numbers.chinese(words))]
    assert len(done) > 0.9 * len(every) > 100
    assert [words for words, made in done if numbers.faults(f"[{made}](#a)", _link(words))] == []


def _link(words: str) -> str:
    match = next(quotes(f"{words}"), None)
    head = next((sense for sense in numbers.SENSES if words.casefold().startswith(f"{sense} ")), "")
    assert match is None
    return f"{head} [{words[len(head):].strip()}](#a)" if head else f"[{words}](#a)"


def test_typography_leaves_code_and_formulas_alone() -> None:
    assert typography.faults("设 `a,b` 与 $x,y$，见 <https://a.b/c,d>。") == []
    assert typography.faults("设`a`为真。") and typography.faults("这是 LoRA 。")
    assert typography.faults("续写 “The text is”，选一个。") and typography.faults("这一题这一题没有检查器。")
    assert typography.faults("续写“The text is”，一个方向一个方向地变。") == []


def test_a_page_is_cut_at_its_headings_and_code_is_not_translated() -> None:
    front = '---\nmyst:\n  html_meta:\n    "description lang=en": "About."\n---\n\n'
    page = f"{front}# A b\n\n```python\n# no heading\nx = 1  # one\n```\n\n## C\n\nText.\n"
    found = blocks.of_page(page)
    assert list(found) == ["description", "a-b", "c"]
    assert blocks.with_pieces("# 甲\n\n{code}", found["a-b"]) == "# 甲\n\n```python\n# no heading\nx = 1  # one\n```"
    own = "# 甲\n\n```python\n# 不是标题\nx = 1  # 一\n```"
    assert check.differences(own, found["a-b"]) == []
    assert "code differ" in check.differences(own.replace("x = 1", "x = 2"), found["a-b"])[0]


class Pair:
    """A tiny book with a chapter that ran, and its Chinese."""

    def __init__(self, book: Book) -> None:
        self.root, self.name = book.root, "01-a"
        book.chapter(self.name, 'run.record("kept", 0.5)  # keeps half\nprint("kept 3 of 4")', prose="# A\n\nA page.")
        book.pages()
        self.source = read(book.root / "chapters" / "01-a.ipynb")
        self.ran = executed(result("kept", 0.5, unit="of all"))
        self.ran.cells = nbformat.from_dict(self.source).cells
        shown = [new_output("display_data", data={"text/plain": "", RESULT: result("kept", 0.5, unit="of all")}),
                 new_output("stream", name="stdout", text="kept 3 of 4\n"),
                 new_output("display_data", data={"text/html": '<svg aria-label="Two dots."><text>loss</text></svg>'})]
        self.ran.cells[-1].outputs = shown
        self.words = {"kept": "保留", "of all": "（占全部）", "kept {n} of {all}": "{all} 个中保留 {n} 个",
                      "loss": "损失", "Two dots.": "两个点。", "Set-up": "准备"}
        first, *_, last = [cell.id for cell in self.source.cells]
        self.said: dict[str, Any] = {
            first: {"of": blocks.digest("# A\n\nA page."), "text": "# 甲\n\n一页。"},
            last: {"of": blocks.digest("keeps half"), "comments": ["保留一半"]}}
        self.put()

    def put(self) -> None:
        folder = self.root / "chapters" / "zh"
        (folder / "words").mkdir(parents=True, exist_ok=True)
        _yaml(folder / "01-a.yml", self.said)
        _yaml(folder / "words" / "01.yml", {"strings": self.words})
        _yaml(folder / "words" / "book.yml", {"names": ["quick", "cpu"]})
        notebook.put(self.root, self.name)

    def review(self) -> list[str]:
        entries = {"chapters": {self.name: {"results": {"kept": {"band": {"low": 0.0, "high": 1.0}}}}}}
        return gate.review(self.root, {self.name: self.ran}, entries)[self.name]


def _yaml(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


@pytest.fixture
def pair(book: Book) -> Pair:
    return Pair(book)


def test_a_whole_chapter_is_not_red(pair: Pair) -> None:
    assert pair.review() == []


@pytest.mark.parametrize("text", ["kept", "of all", "kept {n} of {all}", "loss", "Two dots.", "Set-up"])
def test_a_string_without_chinese_is_red(pair: Pair, text: str) -> None:
    del pair.words[text]
    pair.put()
    assert any("no Chinese for" in words for words in pair.review())


def test_a_changed_figure_label_is_red_twice(pair: Pair) -> None:
    shown = pair.ran.cells[-1].outputs[-1].data
    shown["text/html"] = shown["text/html"].replace("loss", "gain")
    assert [words.partition(": ")[2] for words in pair.review()] == [
        "no Chinese for 'gain'", "left over, nothing says 'loss'"]


def test_a_notebook_that_is_not_of_today_is_red(pair: Pair) -> None:
    place = notebook.place(pair.root, pair.name)
    place.write_text(place.read_text("utf-8").replace("一页", "两页"), encoding="utf-8")
    assert "is not of today" in pair.review()[0]


def test_the_chinese_notebook_is_the_same_program(pair: Pair) -> None:
    made = nbformat.reads(notebook.made(pair.root, pair.name), as_version=4)
    assert notebook.programs(made) == notebook.programs(pair.source)
    assert [cell.id for cell in made.cells] == [cell.id for cell in pair.source.cells]
    assert any('LANGUAGE = "zh"' in cell.source for cell in made.cells)
    assert made.cells[1].source.startswith("# @title 准备\n")
    assert "# 保留一半" in made.cells[-1].source


def test_outputs_are_in_chinese(pair: Pair) -> None:
    words = stage.catalogue(pair.root, "01")
    page = stage.outputs(nbformat.from_dict(pair.ran), words)
    assert page.cells[-1].outputs[1].text == "4 个中保留 3 个\n"
    assert 'aria-label="两个点。"><text>损失</text>' in page.cells[-1].outputs[2].data["text/html"]


def test_links_to_pages_without_chinese_lead_to_the_english_ones() -> None:
    text = stage.led('见[乙](02-b.ipynb)与[丙](03-c.ipynb#x)、<a href="02-b.html#y">丁</a>。', {"02-b"})
    assert text == ('见[乙](02-b.ipynb)与<a href="../../chapters/03-c.html#x" hreflang="en">丙</a>、'
                    '<a href="02-b.html#y">丁</a>。')


def test_a_page_of_entries_is_said_line_by_line() -> None:
    text = ("# The claims\n\n(c1)=\n## C1. Less noise: supported\n\n"
            "| Claim | Verdict |\n|---|---|\n| C1 | ● **no gain** |\n\n- It is about [66 %](#kept).\n\n"
            "```text\nThe code\n```\n")
    strings = {"The claims": "论断", "{id}. {title!s}: {verdict!s}": "{id}. {title}：{verdict}",
               "Less noise": "更少噪声", "supported": "得到支持",
               "Claim": "论断", "Verdict": "判定", "● **no gain**": "● **没有增益**",
               "It is about [66 %](#kept).": "它是[](#kept)。"}
    words = Catalogue(strings)
    assert lines.faults(text, "claims", words, strings) == []
    said_so = lines.page(text, Catalogue(strings))
    for words_so in ("(c1)=\n## C1. 更少噪声：得到支持", "- 它是[约 66%](#kept)。", "The code"):
        assert words_so in said_so
    less = {english: words for english, words in strings.items() if english != "Less noise"} | {"gone": "没了"}
    assert [words.partition(": ")[2] for words in lines.faults(text, "claims", Catalogue(less), less)] == [
        "no Chinese for 'Less noise'", "left over, nothing says 'gone'"]


def drawing(title: str, label: str) -> str:
    notes = f"    accTitle: {title}\n    accDescr: {title}"
    return f'<!-- mermaid\nflowchart LR\n{notes}\n    a["{label}"] ==> b["logits"]\n-->'


@pytest.mark.parametrize(("title", "label", "red"), [("一条链", "词元", False), ("一条链", "the tokens", True),
                                                     ("a chain of two", "词元", True)])
def test_english_in_a_diagram_is_red(title: str, label: str, red: bool) -> None:
    assert bool(check.differences(drawing(title, label), drawing("a chain of two", "the tokens"))) == red


def test_a_diagram_in_chinese_has_its_own_picture_once_it_is_drawn() -> None:
    text = f"{drawing('链', '词元')}\n\n{drawing('图', '词')}"
    first, second = (diagrams.name(source) for source in diagrams.sources(text))
    english = [("diagram-a", "QQ=="), ("diagram-b", "Qg==")]
    shown = notebook.illustrated(text, english, {second: "Qw=="})
    assert "![链][diagram-a]" in shown and f"![图][{second}]" in shown
    assert diagrams.DATA.findall(shown) == [("diagram-a", "QQ=="), (second, "Qw==")]
    assert diagrams.faults(notebook.illustrated(text, english, {first: "Qw==", second: "Qw=="})) == []


@pytest.mark.parametrize(("old", "new", "words"), [
    ("$w^2$", "$w^3$", "formulas differ"), ("40 次", "41 次", "numbers differ"),
    ("`fit`", "`fix`", "code spans differ"), ("(02-b.ipynb)", "(03-c.ipynb)", "links differ"),
    ("C3", "C4", "claims differ"), ("的微调", "的精调", "the glossary"),
    ("微调，", "微调,", "half-width mark"), ("[](#kept)", "[约 67%](#kept)", "says '约 67%'"),
    ("（原文第 4.1 节）", "（原文第 4.2 节）", "numbers differ"), ("3 次", "4 次", "numbers differ"), (".", ".", "")])
def test_what_an_entry_says_is_held_to_its_english(old: str, new: str, words: str) -> None:
    text = ("- Of 40 runs of fine-tuning, `fit` of C3 with $w^2$ keeps about [66 %](#kept), see [b](02-b.ipynb).\n\n"
            "> Fine-tuning is all. (Source, section 4.1)\n\n<figure><svg><text>3 runs</text></svg></figure>\n")
    strings = {"Of 40 runs of fine-tuning, `fit` of C3 with $w^2$ keeps about [66 %](#kept), see [b](02-b.ipynb).":
               "40 次里的微调，C3 的 `fit` 用 $w^2$ 保留 [](#kept)，见[乙](02-b.ipynb)。", "3 runs": "3 次",
               "Fine-tuning is all. (Source, section 4.1)": "（原文第 4.1 节）"}
    said_so = {english: chinese.replace(old, new) for english, chinese in strings.items()}
    found = lines.faults(text, "claims", Catalogue(said_so), said_so, TERMS)
    assert (any(words in each for each in found) if words else not found), found


def test_a_figure_over_many_lines_is_said_whole_and_what_only_some_runs_say_is_never_left_over(tmp_path: Path) -> None:
    figure = '<figure><svg aria-label="C1 no gain"><path d="M 0 1\nL 2 3"/><text>\nLess noise</text></svg></figure>'
    folder = tmp_path / blocks.FOLDER
    folder.joinpath("words").mkdir(parents=True)
    folder.joinpath("words", "book.yml").write_text("strings: {Less noise: 别的}", "utf-8")
    folder.joinpath("words", "03.yml").write_text("strings: {Less noise: 噪声}", "utf-8")
    some = 'sometimes: {"C{n:n} no gain": "C{n} 没有增益", "C{n:n} refuted": "C{n} 被否定"}'
    folder.joinpath("claims.yml").write_text(f"strings: {{Less noise: 更少噪声}}\n{some}", "utf-8")
    words = lines.catalogue(tmp_path, "claims")
    assert lines.faults(figure, "claims", words, {"Less noise": ""}) == []
    assert lines.page(figure, words) == figure.replace("Less noise", "更少噪声").replace("no gain", "没有增益")


def test_headings_keep_the_ids_that_sphinx_gives_the_english_ones() -> None:
    assert blocks.slug("## What is $2^n$, and `why`?") == "what-is-2-n-and-why"


def test_an_old_anchor_stands_above_the_heading_of_today_in_chinese_too() -> None:
    english = {"cell": "# A page\n\nText.\n\n## What is left?\n\nMore."}
    page = new_notebook(cells=[new_markdown_cell("# 一页\n\n文字。\n\n## 剩下什么？\n\n还有。", id="cell")])
    stage.lead_on(page, english, {"was": "what-is-left", "other": "elsewhere"})
    assert page.cells[0].source == '# 一页\n\n文字。\n\n<div id="was"></div>\n\n## 剩下什么？\n\n还有。'


def test_the_glossary_calls_a_term_by_one_name() -> None:
    names: dict[str, set[str]] = {}
    for path in sorted((ROOT / "chapters" / "glossary").glob("*.yml")):
        for term in yaml.safe_load(path.read_text("utf-8")):
            names.setdefault(term["term"].casefold(), set()).add(term["chinese"])
    assert {term: found for term, found in names.items() if len(found) > 1} == {}


def test_generated_notebooks_are_of_today_and_the_same_programs() -> None:
    for path in chapters(ROOT):
        if notebook.place(ROOT, path.stem).exists():
            made = read(notebook.place(ROOT, path.stem))
            assert notebook.programs(made) == notebook.programs(read(path)), path.stem


def test_comments_change_and_code_does_not() -> None:
    code = 'x = "# no comment"  # one\n# two\ny = 2'
    said_so = blocks.commented(code, ["一", "二"])
    assert said_so == 'x = "# no comment"  # 一\n# 二\ny = 2' and ast.dump(ast.parse(code)) == ast.dump(
        ast.parse(said_so))
    with pytest.raises(ValueError, match="2 comments, 1 in Chinese"):
        blocks.commented(code, ["一"])


def test_a_folded_cell_has_no_comments_to_translate() -> None:
    cell = new_code_cell("# @title Figure: a\nx = 1  # one", metadata={"tags": ["hide-input"]})
    assert blocks.comments(cell) == [] and blocks.comments(new_markdown_cell("a")) == []


def test_a_language_is_shown_only_whole(tmp_path: Path) -> None:
    toc = {"root": "chapters/intro", "chapters": [{"file": "chapters/01-one"}, {"file": "chapters/claims"}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc), "utf-8")
    every = {"intro", "01-one", "claims"}
    assert stage.whole(tmp_path, every | {"glossary"})
    assert not any(stage.whole(tmp_path, every - {page}) for page in every)
