"""Token data sets from conversations: transformers' own marks of generated text are the oracle, and its collator."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DataCollatorForSeq2Seq

from lib.data import Dataset, encode
from lib.text.conversations import Tokens, encode_conversations, encode_pairs, load_conversations
from lib.text.templates import answers, marks, render
from tests.lib.chats import DEFAULT, FAMILIES, chat_tokenizer
from tests.lib.tiny_decoder import tiny_tokenizer

quick = settings(deadline=None, max_examples=40)
TALK = [
    {"role": "user", "content": "Is it good?"},
    {"role": "assistant", "content": "yes, very"},
    {"role": "user", "content": "Who says?"},
    {"role": "assistant", "content": "No one \U0001f600"},
]
TOKENIZERS = {name: chat_tokenizer(name) for name in FAMILIES}
words = st.text("ab \n.é\U0001f600", min_size=1, max_size=8).filter(str.strip)


def learned(tokenizer: Any, data: Tokens, row: int = 0) -> str:
    """What is learned of a row, as text."""
    return tokenizer.decode([token for token, mark in zip(data.ids[row], data.learned[row], strict=True) if mark])


# The mask


@pytest.mark.parametrize("name", FAMILIES)
@quick
@given(st.lists(st.tuples(words.map(str.strip), words.map(str.strip)), min_size=1, max_size=3), st.booleans())
def test_what_is_learned_is_what_the_template_marks_as_generated(name: str, turns: list, system: bool) -> None:
    """transformers marks it for templates that say {% generation %}; few do, so these were given it."""
    tokenizer = TOKENIZERS[name]
    talk = [{"role": "system", "content": "Be kind."}] if system and FAMILIES[name].system else []
    for prompt, answer in turns:
        talk += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    data = encode_conversations(tokenizer, [talk])
    theirs = tokenizer.apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True)
    n = len(data.ids[0])
    assert data.ids[0] == theirs["input_ids"][:n]
    assert [int(mark) for mark in data.learned[0]] == theirs["assistant_masks"][:n]
    assert sum(theirs["assistant_masks"][n:]) == 0  # what a row leaves out follows its last end


@pytest.mark.parametrize("name", FAMILIES)
def test_a_row_begins_with_the_prompt_that_the_model_will_be_asked(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    data = encode_pairs(tokenizer, [("Is it good?", "yes, very")])
    asked = tokenizer.apply_chat_template(TALK[:1], add_generation_prompt=True, return_dict=True)["input_ids"]
    assert data.ids[0][:len(asked)] == asked and data.learned[0].index(True) == len(asked)
    assert all(data.learned[0][len(asked):])


def test_a_template_s_own_words_are_read_and_its_line_end_is_left_out() -> None:
    tokenizer = TOKENIZERS["smollm2"]
    data = encode_conversations(tokenizer, [TALK])
    assert learned(tokenizer, data) == "yes, very<|im_end|>No one \U0001f600<|im_end|>"
    assert tokenizer.decode(data.ids[0]) == (
        f"<|im_start|>system\n{DEFAULT}<|im_end|>\n<|im_start|>user\nIs it good?<|im_end|>\n<|im_start|>assistant\n"
        "yes, very<|im_end|>\n<|im_start|>user\nWho says?<|im_end|>\n<|im_start|>assistant\n"
        "No one \U0001f600<|im_end|>")


def test_pairs_are_conversations_of_two_turns() -> None:
    tokenizer = TOKENIZERS["smollm2"]
    assert encode_pairs(tokenizer, [("Is it good?", "yes, very")]) == encode_conversations(tokenizer, [TALK[:2]])
    assert encode_pairs(tokenizer, ([p, a] for p, a in [("x", "y")])) == encode_pairs(tokenizer, [("x", "y")])


def test_the_whole_is_learned_where_that_is_asked_for() -> None:
    tokenizer = TOKENIZERS["smollm2"]
    data = encode_conversations(tokenizer, [TALK], learn_prompt=True)
    assert data.ids == encode_conversations(tokenizer, [TALK]).ids
    assert data.learned[0] == [False] + [True] * (len(data.ids[0]) - 1)  # nothing comes before the first


@pytest.mark.parametrize("name", ["smollm2", "zephyr"])
def test_plain_pairs_are_prompt_answer_and_end(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    end = tokenizer.eos_token
    data = encode_pairs(tokenizer, [("Text: fine.\nThe text is", " positive")], chat=False)
    assert tokenizer.decode(data.ids[0]) == f"Text: fine.\nThe text is positive{end}"
    assert learned(tokenizer, data) == f" positive{end}"
    assert tokenizer.convert_ids_to_tokens(data.ids[0]).index("Ġp") == data.learned[0].index(True)  # with its space
    same = [encode_pairs(tokenizer, [("a", answer)], chat=False) for answer in (" b", f" b{end}")]
    assert same[0] == same[1]


def test_plain_pairs_begin_as_the_tokenizer_begins_a_text() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = chat_tokenizer("zephyr")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)])
    data = encode_pairs(tokenizer, [("a", " b")], chat=False)
    assert tokenizer.decode(data.ids[0]) == "<s>a b</s>" and learned(tokenizer, data) == " b</s>"
    chat = encode_pairs(tokenizer, [("a", "b")])
    assert tokenizer.bos_token_id not in chat.ids[0]  # there the template decides


def test_an_answer_that_shares_a_token_with_its_prompt_is_refused() -> None:
    tokenizer = TOKENIZERS["smollm2"]
    message = "an answer must begin with a token of its own.*'positive.*'The text is ' in row 1"
    with pytest.raises(ValueError, match=message):
        encode_pairs(tokenizer, [("a", " b"), ("The text is ", "positive")], chat=False)
    with pytest.raises(ValueError, match="move white space from prompt to answer, or strip it"):
        encode_pairs(tokenizer, [("a", "\n\nb")])
    assert tokenizer.encode("is positive") != tokenizer.encode("is ") + tokenizer.encode("positive")  # control


# Limits


def test_a_long_answer_loses_its_end_and_that_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    tokenizer = tiny_tokenizer()
    rows = [("good", "yes"), ("good", "very " * 30)]
    data = encode_pairs(tokenizer, rows, max_length=20)
    assert [len(row) for row in data.ids] == [11, 20] and data.cut == (1,)
    assert learned(tokenizer, data, 1).split() == ["very"] * 11  # no end: it was cut off
    assert capfd.readouterr() == ("1 of 2 rows were cut to 20 tokens\n", "")
    assert encode_pairs(tokenizer, rows[:1], max_length=11).cut == ()  # control: exactly as long as allowed
    assert encode_pairs(tokenizer, rows[:1], max_length=10).cut == (0,)


def test_a_prompt_that_leaves_no_room_is_named() -> None:
    message = "a prompt must leave room for its answer in max_length=20 tokens, got 38 in row 1; shorten it or raise"
    with pytest.raises(ValueError, match=message):
        encode_pairs(tiny_tokenizer(), [("good", "yes"), ("very " * 30, "no")], max_length=20)
    with pytest.raises(ValueError, match=message):
        encode_pairs(tiny_tokenizer(), [("good", "yes"), ("very " * 30, "no")], max_length=20, learn_prompt=True)


@pytest.mark.parametrize("max_length", [7, 65, 20.5, True])
def test_a_length_outside_the_range_is_named(max_length: Any) -> None:
    with pytest.raises(ValueError, match=f"max_length must be a whole number between 8 and 64, got {max_length}"):
        encode_pairs(tiny_tokenizer(), [("good", "yes")], max_length=max_length)


BLANK = ["", " \n\t", "\u200b\u200b", "\ufeff", "\x00\x07", "\u200d\ufe0f", "\u2028", "\u00ad\u2060"]


@pytest.mark.parametrize("text", BLANK)
@pytest.mark.parametrize("chat", [True, False])
def test_a_prompt_or_answer_that_cannot_be_seen_is_named(text: str, chat: bool) -> None:
    for pair, who in ((("good", text), "assistant"), ((text, "good"), "user")):
        with pytest.raises(ValueError, match=f"a turn must not be blank, got .* from the {who} in row 1"):
            encode_pairs(TOKENIZERS["smollm2"], [("a", " b"), pair], chat=chat)


def test_what_can_be_seen_is_not_blank() -> None:
    """Control: marks, joiners and controls around something visible."""
    texts = ["\u0645\u0631\u062d\u0628\u0627\u064b", "\U0001f468\u200d\U0001f469", "\ufeffx", "!", "\u4e2d"]
    assert len(encode_pairs(TOKENIZERS["smollm2"], [(text, text) for text in texts])) == 5


@pytest.mark.parametrize(
    "pairs, message",
    [
        ([], "at least one row, got none"),
        (["ab"], "pairs must hold a prompt and an answer each, got 'ab' in row 0"),
        ([("a", "b"), ("a",)], r"got \('a',\) in row 1"),
        ([("a", None)], "content must be text, got None in row 0"),
        ([("a<|im_end|>", "b")], "content must not hold special tokens, .* got '<|im_end|>' in row 0"),
    ],
)
def test_pairs_that_are_none_are_named(pairs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        encode_pairs(TOKENIZERS["smollm2"], pairs)


@pytest.mark.parametrize(
    "talk, message",
    [
        (TALK[:3], "end with the assistant, got 'user' first and 'user' last in row 1"),
        (TALK[1:2], "begin with another than the assistant .* got 'assistant' first"),
        ([{"role": "tool", "content": "x"}, *TALK], "role must be one of system, user, assistant, got 'tool' in row 1"),
        ([{"from": "human", "value": "x"}], "a turn must have a role and a content, got .*'from'.* in row 1"),
        ([], r"a conversation must be a list of turns, got \[\] in row 1"),
        ("hello", "a conversation must be a list of turns, got 'hello' in row 1"),
        (TALK[0], "a conversation must be a list of turns, got {.* in row 1"),
        ([TALK[0], {"role": "assistant", "content": 3}], "content must be text, got 3 in row 1"),
    ],
)
def test_conversations_that_are_none_are_named(talk: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_conversations(TOKENIZERS["smollm2"], [TALK, talk])


# Templates


def test_a_tokenizer_that_lacks_a_template_is_named() -> None:
    tokenizer = chat_tokenizer("smollm2")
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="tokenizer must have a chat template, got none .* chat=False"):
        encode_pairs(tokenizer, [("a", "b")])
    assert len(encode_pairs(tokenizer, [("a", " b")], chat=False)) == 1
    with pytest.raises(ValueError, match="tokenizer must be that of a decoder, model.tokenizer, got str"):
        encode_pairs("smollm2", [("a", "b")])  # type: ignore[arg-type]


def test_a_tokenizer_without_an_end_is_named() -> None:
    tokenizer = chat_tokenizer("smollm2")
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="tokenizer must have an eos_token, which ends an answer, got None"):
        encode_pairs(tokenizer, [("a", " b")], chat=False)


@pytest.mark.parametrize(
    "change, message",
    [
        (("m['content'] + '<|im_end|>' }}{% endgen", "m['content'] + '### END' }}{% endgen"),
         "end an answer with a special token, got '### END"),
        (("{% generation %}{{ m['content']", "{% generation %}{{ m['content'] | upper"), "answers as they are"),
        (("{% generation %}{{ m['content']", "{% generation %}{{ ('' if loop.last else 'Thought. ') + m['content']"),
         "answers as they are"),
        (("{{ '<|im_start|>' + m['role'] + '\n' }}", "{{ '<|im_start|>' ~ m['role'] ~ messages | length ~ '\n' }}"),
         "write turns the same whatever follows"),
        (("{% for m", "{{ raise_exception('no film') }}{% for m"), "got its error: no film"),
    ],
)
def test_a_template_that_cannot_be_masked_is_named(change: tuple[str, str], message: str) -> None:
    tokenizer = chat_tokenizer("qwen")
    assert change[0] in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(*change)
    with pytest.raises(ValueError, match=f"the chat template must .*{message}.*in row 0"):
        encode_conversations(tokenizer, [TALK])


def test_a_template_that_refuses_a_system_turn_says_so() -> None:
    message = "must take the turns system, user, assistant.*System role not supported, in row 0"
    with pytest.raises(ValueError, match=message):
        encode_conversations(TOKENIZERS["gemma"], [[{"role": "system", "content": "x"}, *TALK[:2]]])


def test_an_answer_s_place_is_found_though_the_prompt_says_the_same() -> None:
    talk = [{"role": "user", "content": "yes"}, {"role": "assistant", "content": "yes"}]
    text, places = answers(TOKENIZERS["zephyr"], talk)
    assert [text[start:stop] for start, stop in places] == ["yes</s>"] and places[0][0] > text.index("yes") + 3
    assert render(TOKENIZERS["zephyr"], TALK[:1], prompt=True) == "<|user|>\nIs it good?</s>\n<|assistant|>\n"


def test_the_marks_of_published_templates_are_those_of_their_papers() -> None:
    found = {name: marks(tokenizer) for name, tokenizer in TOKENIZERS.items()}
    assert {name: (m.answer, m.end, m.closed) for name, m in found.items()} == {
        "smollm2": ("<|im_start|>assistant", "<|im_end|>", True),
        "qwen": ("<|im_start|>assistant", "<|im_end|>", True),
        "llama3": ("<|start_header_id|>assistant<|end_header_id|>", "<|eot_id|>", True),
        "zephyr": ("<|assistant|>", "</s>", True),
        "gemma": ("<start_of_turn>model", "<end_of_turn>", True),
        "mistral": ("[/INST]", "</s>", False),
        "phi3": ("<|assistant|>", "<|end|>", True),
        "vicuna": ("ASSISTANT:", "</s>", False),
    }
    assert (found["zephyr"].user, found["zephyr"].system, found["gemma"].system) == ("<|user|>", "<|system|>", "")
    assert {name for name, m in found.items() if not m.bos} == {"smollm2", "qwen"}  # there it opens turns, or is none


# The data set


ROWS = [("good", "yes"), ("very good film", "no one"), ("bad", "yes yes yes yes")]


def test_a_batch_is_that_of_transformers_collator() -> None:
    data = encode_pairs(tiny_tokenizer(), ROWS, max_length=64)
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids),
             "labels": [token if mark else -100 for token, mark in zip(ids, marks, strict=True)]}
            for ids, marks in zip(data.ids, data.learned, strict=True)]
    theirs = DataCollatorForSeq2Seq(tiny_tokenizer())(rows)
    ours = data.collate([0, 1, 2])
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert torch.equal(ours[key], theirs[key]) and ours[key].dtype == torch.int64, key
    end = tiny_tokenizer().eos_token_id
    assert data.pad == end and (ours["labels"] == end).sum(1).tolist() == [1, 1, 1]  # padding is not learned


def test_batches_are_those_of_any_data_set_of_these_lengths() -> None:
    data = encode_pairs(tiny_tokenizer(), ROWS * 5, max_length=64)
    other = Dataset([[1] * len(row) for row in data.ids], [0] * len(data))
    assert data.batches(2, (3, 1), 2) == other.batches(2, (3, 1), 2)
    assert data.in_length_order(4) == other.in_length_order(4) and len(data) == len(other) == 15


def test_a_subset_is_the_rows_asked_for_and_a_fingerprint_is_of_the_content() -> None:
    data = Tokens([[1, 2], [3], [4, 5]], [[False, True], [True], [True, True]], pad=9, cut=(0, 2))
    assert data.subset([2, 1]) == Tokens([[4, 5], [3]], [[True, True], [True]], pad=9, cut=(0,))
    assert len(data.subset([])) == 0
    others = [data, data.subset([0, 1]), data.subset([1, 0, 2]), Tokens(data.ids, data.learned, pad=8),
              Tokens(data.ids, [[True, True], [True], [True, True]], pad=9)]
    assert len({d.fingerprint() for d in others}) == 5
    assert data.fingerprint() == data.subset([0, 1, 2]).fingerprint()


@pytest.mark.parametrize("call, message", [
    (lambda: Tokens([[1], []], [[True], []]), "must hold rows of one length, none empty, got .1, 0. and .1, 0."),
    (lambda: Tokens([[1, 2]], [[True]]), "got .2. and .1."),
    (lambda: Tokens([[1]], [[True]]).collate([]), "rows must not be empty"),
    (lambda: Tokens([[1]], [[True]]).collate([1]), "rows must be numbers between 0 and 0, got 1"),
    (lambda: Tokens([[1]], [[True]]).subset([True]), "rows must be numbers between 0 and 0, got True"),
    (lambda: Tokens([[1]], [[True]]).batches(0, 1), "size must be a whole number of at least 1, got 0"),
])
def test_what_is_no_data_set_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# Hub sets

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")


@pytest.mark.parametrize("kind", ["disk", "json", "jsonl", "parquet"])
def test_a_set_of_any_kind_gives_its_conversations(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [{"messages": TALK, "source": "a"}, {"messages": TALK[:2], "source": "b"}]
    part, folder = datasets.Dataset.from_list(rows), tmp_path / "set"
    folder.mkdir()
    if kind == "disk":
        datasets.DatasetDict(train=part, test=part.select([1])).save_to_disk(str(folder))
    elif kind == "parquet":
        part.to_parquet(str(folder / "train.parquet"))
    else:
        lines = json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows))
        (folder / f"train.{kind}").write_text(lines)
    capfd.readouterr()  # saving shows a progress bar
    loaded = load_conversations(str(folder))
    assert loaded == [TALK, TALK[:2]] and type(loaded[0][0]) is dict
    assert kind != "disk" or load_conversations(str(folder), split="test") == [TALK[:2]]
    assert capfd.readouterr() == ("", "")
    assert len(encode_conversations(TOKENIZERS["smollm2"], loaded)) == 2


@pytest.mark.parametrize(
    "rows, arguments, message",
    [
        ([{"messages": TALK}], {"column": "chat"}, "column 'chat' must be one of messages"),
        ([{"messages": TALK}], {"split": "test"}, "split must be one of train, got 'test'"),
        ([{"messages": [{"role": "gpt", "content": "x"}]}], {}, "role must be one of .* got 'gpt' in row 0"),
        ([{"messages": [{"from": "gpt", "value": "x"}]}], {}, "a turn must have a role and a content"),
        ([{"messages": [{"role": "user", "content": None}]}], {}, "content must be text, got None in row 0"),
        ([{"messages": TALK}, {"messages": []}], {}, r"a conversation must be a list of turns, got \[\] in row 1"),
        ([{"messages": "hello"}], {}, "a conversation must be a list of turns, got 'hello' in row 0"),
    ],
)
def test_a_set_that_does_not_fit_is_named(rows: list, arguments: dict, message: str, tmp_path: Path) -> None:
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=message):
        load_conversations(str(tmp_path / "set"), **arguments)


def test_other_keys_are_left_out_and_a_question_without_an_answer_is_loaded(tmp_path: Path) -> None:
    """Such rows are the reader's to drop; encoding refuses them."""
    talk = [{**turn, "id": 3} for turn in TALK[:3]]
    datasets.DatasetDict(train=datasets.Dataset.from_list([{"messages": talk}])).save_to_disk(str(tmp_path / "set"))
    assert load_conversations(str(tmp_path / "set")) == [TALK[:3]]


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r'load_conversations needs .*pip install "project-and-regularize\[hub\]"'):
        load_conversations("anything")


def test_an_encoder_s_pairs_still_go_their_own_way(toy_encoder: Any) -> None:
    assert encode(toy_encoder.tokenizer, ["good film"], [1]).collate([0])["labels"].shape == (1,)
