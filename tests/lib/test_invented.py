"""The invented reviews: oracles are pandas' reader of the file, and scikit-learn on words alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from lib.corpora import invented
from lib.corpora.invented import FILE, STYLES, load_invented
from lib.data import label

TABLE = pd.read_csv(FILE)


def test_the_loader_reads_what_pandas_reads() -> None:
    found = [(s.group, label(s), s.text) for s in load_invented()]
    assert found == list(TABLE[["thing", "label", "text"]].itertuples(index=False, name=None))


def test_a_style_is_a_part_and_the_parts_are_all() -> None:
    parts = {style: load_invented(style) for style in STYLES}
    assert {style: [s.text for s in part] for style, part in parts.items()} == {
        style: list(TABLE.text[TABLE["style"] == style]) for style in STYLES
    }
    assert sum(map(len, parts.values())) == len(TABLE)
    with pytest.raises(ValueError, match="style must be one of plain, indirect, turned or None, got 'ironic'"):
        load_invented("ironic")


def test_neither_name_nor_length_nor_words_give_the_label_away() -> None:
    assert (TABLE.groupby("thing").label.apply(sorted).map(tuple) == (0, 1)).all()
    words = TABLE.text.str.split().str.len()
    assert words.between(6, 30).all() and abs(words[TABLE.label == 1].mean() - words[TABLE.label == 0].mean()) < 2
    negates = TABLE.text.str.contains(r"\b(?:not|no|never|nothing|nobody|none|neither|nor|without|cannot)\b|n't")
    assert abs(negates[TABLE.label == 1].sum() - negates[TABLE.label == 0].sum()) < 10
    words_alone = make_pipeline(
        CountVectorizer(binary=True, token_pattern=r"\b\w+\b"), LogisticRegression(max_iter=2000)
    )
    folds = [GroupKFold(10, shuffle=True, random_state=k) for k in range(10)]
    scores = [cross_val_score(words_alone, TABLE.text, TABLE.label, groups=TABLE.thing, cv=f).mean() for f in folds]
    assert np.mean(scores) == pytest.approx(0.58, abs=0.02)  # as the datasheet says
    told = words_alone.fit(TABLE.text + TABLE.label.map({0: " bad", 1: " good"}), TABLE.label)
    assert told.score(["bad", "good"], [0, 1]) == 1  # a word that did give it away would be found


def test_a_changed_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = tmp_path / "invented.csv"
    windows.write_bytes(FILE.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(invented, "FILE", windows)
    assert load_invented()[0].text == TABLE.text[0]  # other line ends are no change
    windows.write_text(FILE.read_text("utf-8").replace("boils fast", "boils slowly"), "utf-8")
    with pytest.raises(ValueError, match="sha256 of invented.csv must be"):
        load_invented()
