"""Strings in the other language: whole or not at all, in the kernel and when the site is staged."""
from __future__ import annotations

import html
import json
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from lib.book.languages import Catalogue, catalogue
from tools.notebooks import ROOT


def test_a_string_is_replaced_whole_or_not_at_all() -> None:
    words = Catalogue({"loss": "损失", "loss of {name}": "{name}的损失"})
    assert words.say("the loss") == "the loss" and list(words.missing) == ["the loss"]
    assert words.say(" loss\n") == " 损失\n"
    assert words.say("loss of Adam") == "Adam的损失" and words.used == {"loss", "loss of {name}"}


def test_the_most_literal_template_is_taken() -> None:
    words = Catalogue({"{a} of {b}": "{b}之{a}", "{n} of 10 seeds": "10 个种子中的 {n} 个"})
    assert words.say("3 of 10 seeds") == "10 个种子中的 3 个"


def test_a_value_is_data_unless_the_template_says_that_it_is_words() -> None:
    words = Catalogue({"for {text!r}": "给 {text}", "of {name!s}": "{name}的", "loss": "损失"})
    assert words.say("for a good film") == "给 a good film" and not words.missing
    assert words.say("of loss") == "损失的" and words.say("of the loss") == "the loss的"
    assert list(words.missing) == ["the loss"]


def test_a_sentence_is_no_name_and_a_template_that_takes_one_for_it_is_red() -> None:
    words = Catalogue({"a step of {way}": "{way} 的一步", "loss": "损失"}, ["LoRA"])
    for name in ("LoRA", "lora", "loss", "Linux x86_64", "01-a.html#two-words", "float32, PiSSA"):
        words.say(f"a step of {name}")
    assert not words.missing
    half = "a step of whatever is written here next year"
    words.say(half, asked=False)
    assert not words.missing and words.say(half).endswith("的一步") and list(words.missing) == [half]


def test_both_sides_name_the_same_values() -> None:
    with pytest.raises(ValueError, match="same values"):
        Catalogue({"epoch {n}": "第 {m} 轮"})


def test_numbers_symbols_names_and_code_need_no_entry() -> None:
    words = Catalogue({}, names=["LoRA"])
    for text in ("0.731", "μ / √(μ² + σ²)", "W₁x", "LoRA", "f(x) = max(x, 0)", "x_1"):
        assert words.say(text) == text
    assert not words.missing


def test_english_beside_chinese_is_asked_for() -> None:
    words = Catalogue({"a {kind} of 损失": "一种{kind}"}, ["LoRA"])
    for text in ("损失 of LoRA: 0.5", "a kind of 损失", "LoRA 的损失"):
        words.say(text)
    words.markup("<p>论断：no gain</p>")
    assert list(words.missing) == ["损失 of LoRA: 0.5", "论断：no gain"]


def test_a_label_that_is_drawn_sign_by_sign_is_one_string() -> None:
    """Two labels with a formula as matplotlib draws them; one of numbers alone and one of whole words stay."""
    def drawn(text: str) -> str:
        signs = "\n".join(f'<tspan x="{n}" style="font-style: oblique; fill: red">{html.escape(sign)}</tspan>'
                          for n, sign in enumerate(text))
        return f'<svg><text y="2">\n{signs}\n</text></svg>'

    words = Catalogue({"direction u": "方向 u"})
    assert words.markup(drawn("direction\N{NO-BREAK SPACE}u")) == (
        '<svg><text y="2"><tspan x="0" style="fill: red">方向 u</tspan></text></svg>')
    for text in ("10<3", "d1=4", "rate & u"):
        assert words.markup(drawn(text)) == drawn(text)
    assert list(words.missing) == ["rate & u"]
    assert words.markup("<text><tspan>direction u</tspan><tspan>10</tspan></text>").count("<tspan>") == 2


def test_markup_keeps_its_structure() -> None:
    words = Catalogue({"a & b": "甲 & 乙", "rank {n}": "秩 {n}", "Moves {n}.": "移动 {n}。"})
    shown = '<svg aria-label="Moves 3."><text x="1">a &amp; b</text><path d="M 1 2"/><text>rank 8</text></svg>'
    said = words.markup(shown)
    assert said == '<svg aria-label="移动 3。"><text x="1">甲 &amp; 乙</text><path d="M 1 2"/><text>秩 8</text></svg>'
    bare_said, bare_shown = (re.sub(r'>[^<]+<|aria-label="[^"]*"', "", each) for each in (said, shown))
    assert bare_said == bare_shown


def test_what_a_script_says_is_replaced_in_its_data() -> None:
    words = Catalogue({"query": "查询", "Rank {rank}.": "秩 {rank}。"})
    said = words.markup('<figure data-told="{&quot;names&quot;: [&quot;query&quot;]}" data-words="Rank {rank}.">')
    told = said.partition('data-told="')[2].partition('"')[0].replace("&quot;", '"')
    assert json.loads(told) == {"names": ["查询"]} and 'data-words="秩 {rank}。"' in said


def test_columns_stay_in_line() -> None:
    words = Catalogue({"rank": "秩", "of the norm": "占范数"})
    assert words.printed("rank    of the norm\n8       0.5\n") == "秩      占范数\n8       0.5\n"


def test_a_kernel_whose_notebook_says_so_speaks_chinese() -> None:
    """Prints, figures, checkers and cards of a notebook with LANGUAGE, without any change to its code."""
    code = [f'import sys; sys.path.insert(0, {str(ROOT)!r})\nLANGUAGE = "zh"',
            'from lib.book.record import start\nrun = start("04-mathematics", profile="quick", seed=0)',
            'print("profile quick, seed 0, device cpu")\nprint("half", end=""); print(" a line")',
            'from lib.book.quiz import feedback\nfeedback(False, "your function returns nothing yet")',
            'run.record("anything", 0.5, unit="1", at_least=0)']
    told = [NotebookClient(new_notebook(cells=[new_code_cell(text) for text in part]), kernel_name="python3",
                           timeout=300).execute() for part in (code, [code[0].replace('"zh"', '"en"'), *code[1:]])]
    chinese, english = (nbformat.writes(notebook) for notebook in told)
    for words in ("配置 quick，随机种子 0，设备 cpu", "你的函数还没有返回值", "还不对。", "成立：至少 0",
                  "half a line"):
        assert words in json.dumps(json.loads(chinese), ensure_ascii=False), words
    assert "your function returns nothing yet" in english and "holds: at least 0" in english


def test_the_book_has_no_other_language() -> None:
    with pytest.raises(ValueError, match="LANGUAGE must be one of en, zh, got 'fr'"):
        catalogue("fr")
