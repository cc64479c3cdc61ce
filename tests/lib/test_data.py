"""Labels, splits and batches: oracles are graph components, hand-made cases and a model's logits."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import networkx
import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lib.corpora.sentiment import DOMAINS, Sentence, load_domain
from lib.data import (
    Dataset,
    class_weights,
    encode,
    has_unknown,
    hold_out,
    index_labels,
    label,
    labelled,
    shuffled,
    soft_label,
    split,
    without_neutral,
)
from lib.models import Encoder, load_encoder


def sentence(text: str = "fine", *ratings: int, domain: str = "movies", group: str = "") -> Sentence:
    return Sentence(text, float(np.mean(ratings or [1])), ratings or (1,), domain, group)


quick = settings(deadline=None, max_examples=60)  # no deadline: machines are shared
HUB = Sentence("fine", float("nan"), (), "a set", category=2)


# Labels


def test_labels_from_ratings() -> None:
    assert [label(sentence("x", r)) for r in (-4, -1, 0, 1, 4)] == [0, 0, 0, 1, 1]
    assert [soft_label(sentence("x", *r)) for r in ([1, 2, 4], [-1, -3], [0, 0], [-1, 0, 1, 4])] == [1, 0, 0.5, 0.625]
    assert label(HUB) == 2


def test_the_neutral_band_has_an_edge_that_belongs_to_the_kept() -> None:
    rated = [sentence("x", *r) for r in ([0, 1], [0, -1], [0, 0, 1], [4], [0])]
    assert without_neutral(rated) == [rated[0], rated[1], rated[3]]
    assert without_neutral(rated, 0) == rated and without_neutral([HUB]) == [HUB]
    assert without_neutral(rated, 0.2) == [rated[0], rated[1], rated[2], rated[3]]


def test_shuffled_is_numpys_permutation_and_a_smaller_sample_begins_a_larger_one() -> None:
    words = [*"abcdefghij"]
    assert shuffled(words, 3) == [words[i] for i in np.random.default_rng(3).permutation(10)]
    assert shuffled(range(10), (3, 1)) == np.random.default_rng((3, 1)).permutation(10).tolist()
    assert words == [*"abcdefghij"] and sorted(shuffled(words, 0)) == words and shuffled([], 0) == []
    with pytest.raises(ValueError, match="seed must be a whole number .* got -1"):
        shuffled(words, (0, -1))


def test_labelled_sentences_keep_their_order_and_their_label() -> None:
    rated = [sentence("a good one", 1, 2), sentence("a poor one", -1, 0)]
    tokenizer = load_encoder("minilm").tokenizer
    assert labelled(tokenizer, rated) == encode(tokenizer, ["a good one", "a poor one"], [1, 0])
    assert labelled(tokenizer, rated, soft_label).labels == [1, 0.25]
    assert labelled(tokenizer, [sentence("long " * 50)], max_length=8).cut == (0,)


@pytest.mark.parametrize("band", [-0.1, 4.5, float("nan")])
def test_a_band_outside_the_scale_is_named(band: float) -> None:
    with pytest.raises(ValueError, match=f"band must be between 0 and 4, got {band}"):
        without_neutral([], band)


def test_a_soft_label_needs_raters() -> None:
    with pytest.raises(ValueError, match="must have ratings .* 'fine'"):
        soft_label(HUB)


def test_labels_of_any_kind_become_indices() -> None:
    assert index_labels(["pos", "neg", "pos"]) == (["neg", "pos"], [1, 0, 1])
    assert index_labels([10, 9, 2]) == ([2, 9, 10], [2, 1, 0])  # as numbers, not as text
    for array in (np.array([3, 1]), list(np.array([3, 1])), torch.tensor([3, 1])):
        classes, indices = index_labels(array)
        assert (classes, indices) == ([1, 3], [1, 0]) and {type(c) for c in classes} == {int}


@pytest.mark.parametrize(
    "labels, error, message",
    [
        (["pos", "pos"], ValueError, r"at least two classes, got \['pos'\]"),
        ([], ValueError, r"at least two classes, got \[\]"),
        ([0, 0.5], TypeError, r"must be text or whole numbers, got 0\.5 at 1"),
        (["a", None], TypeError, r"got None at 1"),
    ],
)
def test_labels_that_are_no_classes_are_named(labels: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        index_labels(labels)


@quick
@given(st.lists(st.integers(0, 3), min_size=8, max_size=60).filter(lambda y: {*y} == {*range(max(y) + 1)} != {0}))
def test_class_weights_are_sklearns(y: list[int]) -> None:
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.unique(y), y=y)
    assert np.allclose(class_weights(y), expected)


@pytest.mark.parametrize("y, words", [([0, 2], r"\[1, 0, 1\]"), ([0, 0], r"\[2\]"), ([], r"got \[\]"),
                                      ([0, 0.5], "whole number"), ("01", "list")])
def test_labels_that_have_no_weights_are_named(y: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"labels.*{words}"):
        class_weights(y)


# Splits


@st.composite
def corpora(draw: st.DrawFn) -> list[Sentence]:
    """Sentences with few texts and few groups, so that groups share texts and chains of groups appear."""
    texts, groups = (
        st.sampled_from(["A b", "a  B!", "c", "d", "e", "!", "?"]),
        st.sampled_from(["", "1", "2", "3", "4", "5"]),
    )
    rows = draw(st.lists(st.tuples(texts, st.sampled_from(["amazon", "nyt"]), groups), min_size=1, max_size=25))
    return [sentence(text, domain=domain, group=group) for text, domain, group in rows]


def components(sentences: list[Sentence]) -> list[set[int]]:
    """The oracle: rows are joined by a common group, or by the same letters whatever their case."""
    graph = networkx.Graph()
    for i, s in enumerate(sentences):
        graph.add_edge(i, ("text", "".join(filter(str.isalnum, s.text)).lower() or s.text))
        if s.group:
            graph.add_edge(i, ("group", s.domain, s.group))
    return [{n for n in c if isinstance(n, int)} for c in networkx.connected_components(graph)]


def parts_of(sentences: list[Sentence], **options: Any) -> list[str]:
    """The part of each sentence, found by identity."""
    parts = split(sentences, **options)
    where = {id(s): name for name in ("train", "dev", "test") for s in getattr(parts, name)}
    return [where[id(s)] for s in sentences]


@quick
@given(corpora(), st.text(max_size=3))
def test_a_split_is_a_partition_and_no_unit_straddles_it(sentences: list[Sentence], salt: str) -> None:
    parts = parts_of(sentences, salt=salt, dev=0.3, test=0.3)
    assert all(len({parts[i] for i in rows}) == 1 for rows in components(sentences))
    both = split(sentences, salt=salt, dev=0.3, test=0.3)
    assert sorted(map(id, both.train + both.dev + both.test)) == sorted(map(id, sentences))


@quick
@given(corpora(), st.randoms(use_true_random=False))
def test_the_order_of_the_sentences_does_not_matter(sentences: list[Sentence], random: Any) -> None:
    before = dict(zip(map(id, sentences), parts_of(sentences), strict=True))
    shuffled = random.sample(sentences, len(sentences))
    assert dict(zip(map(id, shuffled), parts_of(shuffled), strict=True)) == before


def test_different_units_fall_apart() -> None:
    """The control of the two tests above: a split that put everything in one part would pass them."""
    parts = parts_of([sentence(f"text {i}") for i in range(4000)])
    share = {name: parts.count(name) / 4000 for name in ("train", "dev", "test")}
    assert share == pytest.approx({"train": 0.6, "dev": 0.1, "test": 0.3}, abs=0.03)  # 4 standard errors


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_unit_of_the_real_domains_straddles_the_split(domain: str) -> None:
    sentences = load_domain(domain)
    parts = parts_of(sentences)
    units = components(sentences)
    assert all(len({parts[i] for i in rows}) == 1 for rows in units)
    assert len(units) == {"movies": 10603, "amazon": 285, "tweets": 4045, "nyt": 498}[domain]
    rng = np.random.default_rng(0)  # control: splitting by sentence leaks
    assert any(len({parts[i] for i in rng.choice(len(parts), len(rows))}) > 1 for rows in units if len(rows) > 1)


def test_a_long_chain_of_groups_is_one_unit() -> None:
    links = [sentence(f"t{i + step}", domain="nyt", group=str(i)) for i in reversed(range(3000)) for step in (0, 1)]
    assert len(set(parts_of(links, dev=0.3, test=0.3))) == 1
    broken = links[:1000] + links[1002:]  # control: one group fewer, two units
    assert any(len(set(parts_of(broken, dev=0.3, test=0.3, salt=str(k)))) == 2 for k in range(9))


def test_membership_is_the_same_on_every_machine() -> None:
    """A golden value is right here: sha256 has no platform. The rest re-derives each membership by hand."""
    texts = [f"Sentence number {i}!" for i in range(200)]
    parts = parts_of([sentence(t) for t in texts])
    assert hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16] == "d81492586ad1db2e"
    for i, part in enumerate(parts):
        u = int(hashlib.sha256(f"v1\ntext sentence number {i}".encode()).hexdigest()[:16], 16) / 16**16
        assert part == ("test" if u < 0.3 else "dev" if u < 0.4 else "train")
    assert parts_of([sentence(t) for t in texts], salt="v2") != parts


def test_a_larger_dev_part_leaves_the_test_part_alone() -> None:
    sentences = [sentence(f"text {i}") for i in range(300)]
    assert split(sentences, dev=0.1).test == split(sentences, dev=0.5).test


@pytest.mark.parametrize("dev, test", [(-0.1, 0.3), (0.1, -0.3), (0.5, 0.5), (float("nan"), 0.1)])
def test_shares_that_are_no_shares_are_named(dev: float, test: float) -> None:
    with pytest.raises(ValueError, match=f"dev and test must be at least 0 and together below 1, got {dev} and {test}"):
        split([sentence()], dev=dev, test=test)


def test_nothing_to_split_is_named() -> None:
    with pytest.raises(ValueError, match="sentences must not be empty"):
        split([])


@quick
@given(st.lists(st.text(max_size=3), min_size=2), st.floats(0.01, 0.99), st.text(max_size=2), st.randoms())
def test_what_is_held_out_is_a_share_of_the_different_texts(
        texts: list[str], share: float, salt: str, random: Any) -> None:
    units = components([sentence(text) for text in texts])
    assume(len(units) > 1)
    train, held = hold_out(texts, share, salt=salt)
    assert sorted(train + held) == list(range(len(texts))) and train == sorted(train) and held == sorted(held)
    sides = [rows <= set(held) for rows in units]
    assert all(inside or not rows & set(held) for rows, inside in zip(units, sides, strict=True))
    assert 0 < sum(sides) < len(units) and abs(sum(sides) - share * len(units)) <= 1
    order = random.sample(range(len(texts)), len(texts))
    again = hold_out([texts[i] for i in order], share, salt=salt)
    assert {order[i] for i in again[1]} == set(held)


def test_another_salt_holds_out_other_texts() -> None:
    texts = [f"text {i}" for i in range(20)]
    assert len({tuple(hold_out(texts, salt=str(salt))[1]) for salt in range(9)}) > 4


@pytest.mark.parametrize(("texts", "share", "words"), [
    (["a", "b"], 0, "share must be above 0 and below 1, got 0"),
    (["a", "b"], 1.0, "share must be above 0 and below 1, got 1.0"),
    (["A b.", "a b"], 0.5, "texts must hold at least two different ones, got 1"),
    ([], 0.5, "texts must hold at least two different ones, got 0")])
def test_what_cannot_be_held_out_is_named(texts: list[str], share: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hold_out(texts, share)


# Batches


def rows_of(lengths: list[int]) -> Dataset:
    return Dataset([[7] * n for n in lengths], [i % 2 for i in range(len(lengths))])


LENGTHS = np.random.default_rng(0).integers(3, 60, 1000).tolist()


@quick
@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 9), st.integers(0, 2**40), st.integers(1, 4))
def test_batches_are_a_partition_and_depend_on_lengths_alone(
    lengths: list[int], size: int, key: int, pool: int
) -> None:
    data = rows_of(lengths)
    batches = data.batches(size, (key, 1), pool)
    assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
    assert all(1 <= len(b) <= size for b in batches)
    other = Dataset([[9] * n for n in lengths], [0.5] * len(lengths), pad=3)
    assert other.batches(size, (key, 1), pool) == batches


def test_another_key_gives_other_batches() -> None:
    data = rows_of(LENGTHS)
    assert data.batches(8, (0, 0)) == data.batches(8, (0, 0))
    assert len({str(data.batches(8, key)) for key in [(0, 0), (0, 1), (1, 0), 5]}) == 4


def test_batches_hold_rows_of_similar_length_in_random_order() -> None:
    data = rows_of(LENGTHS)
    batches = data.batches(8, (0, 0))
    tokens = sum(data.collate(b)["input_ids"].numel() for b in batches)
    shuffled = np.random.default_rng(0).permutation(1000).reshape(-1, 8)
    assert tokens < 0.7 * sum(data.collate(b)["input_ids"].numel() for b in shuffled.tolist())
    means = [np.mean([LENGTHS[i] for i in b]) for b in batches]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3  # not longest first, as some samplers do


def test_rows_in_order_of_length() -> None:
    batches = rows_of(LENGTHS).in_length_order(8)
    flat = list(itertools.chain(*batches))
    assert [LENGTHS[i] for i in flat] == sorted(LENGTHS) and sorted(flat) == list(range(1000))
    assert {len(b) for b in batches} == {8}


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.batches(0, 0),
        lambda d: d.batches(-1, 0),
        lambda d: d.batches(4, 0, 0),
        lambda d: d.in_length_order(0),
    ],
)
def test_a_size_below_one_is_named(call: Any) -> None:
    with pytest.raises(ValueError, match="(size|pool) must be a whole number of at least 1, got"):
        call(rows_of([3, 4]))


@quick
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=30), min_size=1, max_size=6))
def test_a_batch_holds_each_row_then_padding(ids: list[list[int]]) -> None:
    every = range(len(ids))
    batch = Dataset(ids, [0] * len(ids), pad=0).subset(every).collate(every)
    width = batch["input_ids"].shape[1]
    assert width == max(map(len, ids))
    for row, filled, mask in zip(ids, batch["input_ids"].tolist(), batch["attention_mask"].tolist(), strict=True):
        assert filled == row + [0] * (width - len(row)) and mask == [1] * len(row) + [0] * (width - len(row))
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64


def test_padding_changes_no_logit_even_where_a_text_holds_the_pad_token(toy_encoder: Encoder) -> None:
    """Width 8 alone against width 24 beside a longer row: 1e-5 is fp32's rounding over sums of another length."""
    model = toy_encoder.model.eval()
    data = Dataset([[2, 5, 0, 6, 3], [2] + [7] * 18 + [3]], [0, 1], pad=0)  # row 0 has the pad token inside

    def first(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            return model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[0, :5]

    alone = model(torch.tensor([data.ids[0]])).last_hidden_state[0].detach()
    torch.testing.assert_close(first(data.collate([0, 1])), alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(first(data.collate([0])), alone, rtol=0, atol=1e-5)
    wrong = data.collate([0, 1])  # control: a mask made from the ids
    wrong["attention_mask"] = (wrong["input_ids"] != data.pad).long()
    assert (first(wrong) - alone).abs().max() > 1e-3


@pytest.mark.parametrize(
    "labels, dtype, expected",
    [
        ([2, 0, 1], torch.int64, [1, 2]),
        ([0.25, 1.0, 0.5], torch.float32, [0.5, 0.25]),
        ([0, 1, 0.5], torch.float32, [0.5, 0.0]),  # a batch of whole numbers stays soft
        ([[0.5, 0.5], [1, 0], [0, 1]], torch.float32, [[0, 1], [0.5, 0.5]]),
        ([[0, 1], [1, 0], [1, 0]], torch.float32, [[1, 0], [0, 1]]),
        (np.array([2, 0, 1]), torch.int64, [1, 2]),
    ],
)
def test_labels_keep_their_kind_in_every_batch(labels: Any, dtype: torch.dtype, expected: list) -> None:
    batch = Dataset([[1]] * 3, labels).collate([2, 0])
    torch.testing.assert_close(batch["labels"], torch.tensor(expected, dtype=dtype), rtol=0, atol=0)
    assert Dataset([[1]] * 3, labels).collate([1])["labels"].dtype == dtype


@pytest.mark.parametrize(
    "labels, message",
    [
        ([0, -1], "got -1 at 1"),
        ([0.5, 1.5], "got 1.5 at 1"),
        ([0.5, float("nan")], "got nan at 1"),
        ([True, False], "got True"),
        (["a", "b"], "got 'a'"),
        ([None, 1], "got None"),
        ([[0.5, 0.5], [1.0]], "rows of numbers of one length"),
        ([[0.5, 0.5], [0.5, 0.6]], r"got \[0.5, 0.6\] at 1"),
        ([[0.5, 0.5], [1.5, -0.5]], "at 1"),
        ([0], "one length, got 2 and 1"),
    ],
)
def test_labels_that_are_none_are_named(labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=f"labels must .*{message}"):
        Dataset([[1], [2]], labels)


def test_a_row_without_tokens_and_a_batch_without_rows_are_named() -> None:
    with pytest.raises(ValueError, match="every row of ids must hold a token, got none in row 1"):
        Dataset([[1], []], [0, 1])
    with pytest.raises(ValueError, match="rows must not be empty"):
        rows_of([3]).collate([])


def test_a_fingerprint_is_of_the_content() -> None:
    base = Dataset([[1, 2], [3]], [0, 1])
    assert base.fingerprint() == Dataset([[1, 2], [3]], np.array([0, 1])).fingerprint()
    others = [
        Dataset([[1], [2, 3]], [0, 1]),
        Dataset([[3], [1, 2]], [1, 0]),
        Dataset([[1, 2], [3]], [1, 0]),
        Dataset([[1, 2], [3]], [0.0, 1.0]),
        Dataset([[1, 2], [3]], [0, 1], pad=4),
    ]
    assert len({d.fingerprint() for d in [base, *others]}) == 6


def test_a_subset_is_the_rows_asked_for() -> None:
    data = Dataset([[1], [2], [3]], [0.0, 0.5, 1.0], pad=9, cut=(0, 2))
    assert data.subset([2, 1]) == Dataset([[3], [2]], [1.0, 0.5], pad=9, cut=(0,))
    assert len(data.subset([])) == 0
    assert data.subset(i for i in (2, 1)) == data.subset([2, 1])


@pytest.mark.parametrize("take", ["subset", "collate"])
def test_a_mask_is_no_list_of_rows(take: str) -> None:
    with pytest.raises(ValueError, match="rows must be numbers between 0 and 1"):
        getattr(Dataset([[1], [2]], [0, 1]), take)(torch.tensor([True, True]))


def test_a_column_of_pandas_is_read_by_place(tokenizer: Any) -> None:
    column = pd.Series(["bad " * 30, "fine", "good " * 30]).iloc[::-1]
    assert encode(tokenizer, column, [1, 0, 0], max_length=8) == encode(
        tokenizer, column.tolist(), [1, 0, 0], max_length=8
    )


# Encoding


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_encoder().tokenizer


def test_encoding_is_the_tokenizer_s_own_one_text_at_a_time(tokenizer: Any, capfd: pytest.CaptureFixture[str]) -> None:
    texts = ["A fine film.", "Dull; [PAD] <3 :-)", "café"]
    data = encode(tokenizer, texts, [1, 0, 1])
    assert data.ids == [tokenizer.encode(t) for t in texts] and data.labels == [1, 0, 1]
    assert (data.pad, data.cut) == (tokenizer.pad_token_id, ())
    assert capfd.readouterr() == ("", "")


def test_ten_thousand_words_are_cut_and_the_cut_is_reported(tokenizer: Any, capfd: pytest.CaptureFixture[str]) -> None:
    data = encode(tokenizer, ["short", "word " * 10_000, "short"], [0, 1, 0], max_length=16)
    assert [len(row) for row in data.ids] == [3, 16, 3] and data.cut == (1,)
    assert data.ids[1][-1] == tokenizer.sep_token_id  # cut inside, not after the last token
    assert capfd.readouterr() == ("1 of 3 texts were cut to 16 tokens\n", "")
    assert encode(tokenizer, ["word " * 14], [0], max_length=16).cut == ()  # control: exactly 16 tokens, nothing cut
    assert encode(tokenizer, ["word " * 15], [0], max_length=16).cut == (0,)


def test_signs_that_the_tokenizer_does_not_know_are_reported(
    tokenizer: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = ["fine \N{GRINNING FACE}", "fine", "caf\u00e9", "\N{THUMBS DOWN SIGN}"]
    data = encode(tokenizer, texts, [1, 1, 1, 0])
    assert capfd.readouterr() == ("2 of 4 texts hold signs that the tokenizer does not know, such as emoji\n", "")
    assert ["[UNK]" in tokenizer.tokenize(text) for text in texts] == [True, False, False, True]
    assert list(map(has_unknown(tokenizer), data.ids)) == [True, False, False, True]
    encode(tokenizer, texts, [1, 1, 1, 0], show=False)
    assert capfd.readouterr() == ("", "")


def test_a_long_text_makes_the_tokenizer_warn_nobody(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A line on stderr would fail a chapter's notebook."""
    tokenizer.deprecation_warnings.clear()
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_warning()
    transformers.logging.enable_propagation()
    try:
        encode(tokenizer, ["word " * 600], [0])
        assert not caplog.records
        tokenizer(["word " * 600])  # control: left alone, it warns
        assert "longer than the specified maximum" in caplog.text
    finally:
        transformers.logging.disable_propagation()
        transformers.logging.set_verbosity(before)


def test_a_tokenizer_without_a_pad_token_will_do(toy_encoder: Encoder) -> None:
    toy_encoder.tokenizer.pad_token = None
    assert encode(toy_encoder.tokenizer, ["good film"], [1]).collate([0])["attention_mask"].sum() == 4


@pytest.mark.parametrize(
    "texts, labels, message",
    [
        ([], [], r"texts must be a list of at least one text, got \[\]"),
        ("good", [1, 0, 1, 0], "texts must be a list of at least one text, got 'good'"),
        (["good", ""], [1, 0], "texts must not be blank, got '' at 1"),
        (["good", " \n"], [1, 0], "texts must not be blank, got ' .n' at 1"),
        (["good", None], [1, 0], "texts must not be blank, got None at 1"),
        (["good", b"caf\xe9"], [1, 0], r"texts must be decoded text, got the bytes b'caf\\xe9' at 1: text.decode"),
        (["good", "bad"], [1], "one length, got 2 and 1"),
    ],
)
def test_texts_that_cannot_be_encoded_are_named(texts: Any, labels: list, message: str, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=message):
        encode(tokenizer, texts, labels)


@pytest.mark.parametrize(
    "limit, max_length, most", [(512, 7, 512), (512, 513, 512), (10**30, 513, 512), (250, 251, 250)]
)
def test_a_length_outside_the_range_is_named(
    limit: int, max_length: int, most: int, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "model_max_length", limit)
    with pytest.raises(ValueError, match=f"max_length must be a whole number between 8 and {most}, got {max_length}"):
        encode(tokenizer, ["good"], [1], max_length=max_length)
