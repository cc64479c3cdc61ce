"""Where the sentences come from: the published files are the oracle; pip is real, its index is a local folder."""

from __future__ import annotations

import ast
import html
import io
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lib.corpora import sentiment
from lib.corpora.sentiment import DOMAINS, Sentence, load_domain
from lib.files.fetch import fetch

ROOT = Path(__file__).parents[2]
STEM = {
    "movies": "movieReviewSnippets",
    "amazon": "amazonReviewSnippets",
    "tweets": "tweets",
    "nyt": "nytEditorialSnippets",
}


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pinned distribution, fetched once from wherever pip looks."""
    folder = tmp_path_factory.mktemp("sdist")
    (folder / sentiment.SDIST).write_bytes(fetch(sentiment.SDIST, sentiment.SDIST_SHA256, remedy=""))
    return folder


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes pip see one local folder and nothing else."""

    def only(folder: Path) -> None:
        for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}.items():
            monkeypatch.setenv(name, value)

    return only


@pytest.fixture(scope="session")
def cache(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentiment, "fetch", served(sdist))
        load_domain("nyt", cache=folder)
    return folder


@pytest.fixture(scope="session")
def files(sdist: Path) -> dict[str, tuple[list[list[str]], list[list[str]]]]:
    """domain: rows of the texts' file (id, mean, text), rows of the ratings' file (id, mean, deviation, ratings)."""
    with tarfile.open(sdist / "vaderSentiment-3.3.2.tar.gz") as outer:
        raw = outer.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz").read()  # type: ignore
    with tarfile.open(fileobj=io.BytesIO(raw)) as inner:

        def rows(name: str) -> list[list[str]]:
            text = inner.extractfile(f"hutto_ICWSM_2014/{name}.txt").read().decode("utf-8-sig")  # type: ignore
            return [line.rstrip("\r").split("\t") for line in text.split("\n")]

        return {d: (rows(f"{s}_GroundTruth"), rows(f"{s}_anonDataRatings")) for d, s in STEM.items()}


def served(sdist: Path) -> Callable[..., bytes]:
    """In the place of `fetch`: the distribution, from a folder."""
    return lambda *_, **__: (sdist / sentiment.SDIST).read_bytes()


def cached(folder: Path) -> Path:
    [file] = folder.glob("*/*")
    return file


# The records


def test_counts_groups_and_raters_are_those_of_the_literature(cache: Path) -> None:
    domains = {d: load_domain(d, cache=cache) for d in DOMAINS}
    assert {d: len(s) for d, s in domains.items()} == {"movies": 10605, "amazon": 3708, "tweets": 4200, "nyt": 5190}
    assert {d: len({x.group for x in s}) for d, s in domains.items()} == {
        "movies": 1,
        "amazon": 300,
        "tweets": 1,
        "nyt": 498,
    }
    raters = {d: Counter(len(x.ratings) for x in s) for d, s in domains.items()}
    assert set(raters["movies"]) == set(range(15, 30)) and set(raters["amazon"]) == set(raters["nyt"]) == {20}
    assert sum(n for k, n in raters["movies"].items() if k < 20) / 10605 == pytest.approx(0.69, abs=0.005)
    assert raters["tweets"][20] == 3200 and min(set(raters["tweets"]) - {20}) == 92 and max(raters["tweets"]) == 99
    assert {x.domain for s in domains.values() for x in s} == set(DOMAINS)
    assert {r for s in domains.values() for x in s for r in x.ratings} == set(range(-4, 5))


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_record_is_its_row_of_the_published_files(domain: str, cache: Path, files: dict) -> None:
    texts, ratings = files[domain]
    raters = {row[0]: tuple(ast.literal_eval(row[3])) for row in ratings}
    ours = load_domain(domain, cache=cache)
    assert [s.ratings for s in ours] == [raters[row[0]] for row in texts]
    assert [s.group for s in ours] == [row[0].split("_")[0] if domain in ("amazon", "nyt") else "" for row in texts]
    assert all(html.unescape(html.unescape(row[2])).strip() == s.text for row, s in zip(texts, ours, strict=True))
    assert all(s.text and "&amp;" not in s.text and "\ufeff" not in s.text and "\r" not in s.text for s in ours)
    assert any("&amp;" in row[2] for row in texts)  # control: the repair had something to repair


@pytest.mark.parametrize("domain, differing", [("movies", 0), ("amazon", 0), ("tweets", 199), ("nyt", 0)])
def test_ratings_are_the_published_means_but_for_the_documented_tweets(
    domain: str, differing: int, cache: Path, files: dict
) -> None:
    """Published means have at least 9 decimals where they are not short, hence 1e-8."""
    published = np.array([float(row[1]) for row in files[domain][0]])
    ours = np.array([s.rating for s in load_domain(domain, cache=cache)])
    gap = np.abs(ours - published)
    assert (gap > 1e-8).sum() == differing
    assert (np.sign(ours) == np.sign(published)).all()
    if differing:
        assert gap[gap > 1e-8].mean() == pytest.approx(0.33, abs=0.01) and gap.max() == pytest.approx(1.13, abs=0.01)


def test_control_joining_amazon_by_row_would_mix_up_twenty_sentences(files: dict) -> None:
    texts, ratings = files["amazon"]
    assert sum(t[0] != r[0] for t, r in zip(texts, ratings, strict=True)) == 21
    by_row = [np.mean(ast.literal_eval(r[3])) - float(t[1]) for t, r in zip(texts, ratings, strict=True)]
    assert (np.abs(by_row) > 1e-8).sum() == 20


def test_halves_of_an_nyt_panel_agree_on_89_percent_of_the_labels(cache: Path) -> None:
    panels = np.array([s.ratings for s in load_domain("nyt", cache=cache)])
    halves = np.random.default_rng(0).permuted(np.repeat(panels[None], 5, 0), axis=2).reshape(5, -1, 2, 10).mean(3) > 0
    assert (halves[..., 0] == halves[..., 1]).mean() == pytest.approx(0.89, abs=0.01)


# The cache


def test_a_second_load_needs_neither_pip_nor_a_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip was called"))
    assert len(load_domain("nyt", cache=cache)) == 5190


def test_the_cache_is_placed_by_the_environment(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentiment, "fetch", lambda *a, **k: pytest.fail("the cache was not found"))
    monkeypatch.setenv("PROJECT_AND_REGULARIZE_CACHE", str(cache))
    assert len(load_domain("tweets")) == 4200


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda b: b[: len(b) // 2], id="truncated"),
        pytest.param(lambda b: b"", id="empty"),
        pytest.param(
            lambda b: b.replace(b"great", b"awful", 1), id="edited"
        ),
    ],
)
def test_a_corrupt_cache_is_named_and_made_again(
    damage: Callable[[bytes], bytes],
    cache: Path,
    sdist: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    good = cached(cache).read_bytes()
    file = tmp_path / cached(cache).relative_to(cache)
    file.parent.mkdir()
    file.write_bytes(damage(good))
    monkeypatch.setattr(sentiment, "fetch", served(sdist))
    assert load_domain("movies", cache=tmp_path) == load_domain("movies", cache=cache)
    out, err = capfd.readouterr()
    assert out == f"{file.parent} is damaged: making it again\n" and err == ""
    assert cached(tmp_path).read_bytes() == good


def test_two_notebooks_may_load_at_once(sdist: Path, index: Callable, tmp_path: Path) -> None:
    index(sdist)
    code = "import sys; from lib.corpora.sentiment import load_domain; print(len(load_domain('nyt')))"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PROJECT_AND_REGULARIZE_CACHE": str(tmp_path)},
        )
        for _ in range(2)
    ]
    assert [run.communicate(timeout=500) for run in runs] == [("5190\n", "")] * 2
    assert not [*tmp_path.glob("*.partial")] and cached(tmp_path).suffix == ".json"


# The download


def test_pip_fetches_from_the_place_that_the_user_configured(
    sdist: Path, index: Callable, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index(sdist)
    assert len(load_domain("amazon", cache=tmp_path)) == 3708
    assert capfd.readouterr() == ("", "")


def test_no_network_and_no_cache_is_one_error_that_says_what_to_run(index: Callable, tmp_path: Path) -> None:
    index(tmp_path)
    with pytest.raises(RuntimeError, match=r"run `python -m lib\.corpora\.sentiment`.*No matching distribution"):
        load_domain("nyt", cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def evil(members: dict[str, bytes | str]) -> bytes:
    """A distribution whose inner archive has these members: bytes are a file's, text is a link's target."""

    def pack(entries: dict[str, bytes | str]) -> bytes:
        with io.BytesIO() as file:
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                for name, content in entries.items():
                    info = tarfile.TarInfo(name)
                    if isinstance(content, str):
                        info.type, info.linkname = tarfile.SYMTYPE, content
                        archive.addfile(info)
                    else:
                        info.size = len(content)
                        archive.addfile(info, io.BytesIO(content))
            return file.getvalue()

    return pack({sentiment._ARCHIVE: pack(members)})


def test_no_member_of_the_archive_leaves_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "outer" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setattr("tempfile.tempdir", str(inside))
    rows = {f"hutto_ICWSM_2014/{s}_GroundTruth.txt": b"1\t0\tfine" for s in STEM.values()}
    rows |= {f"hutto_ICWSM_2014/{s}_anonDataRatings.txt": b"1\t0\t0\t[0, 0]" for s in STEM.values()}
    archive = evil({"../escaped.txt": b"evil"} | rows)
    assert sentiment._parse(archive).count(b"fine") == 4
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:  # control: plain extraction does escape
        inner = outer.extractfile(sentiment._ARCHIVE)
        with tarfile.open(fileobj=inner) as tar:
            tar.extractall(inside, filter="fully_trusted")
    assert (tmp_path / "outer" / "escaped.txt").exists()


@pytest.mark.parametrize("target", ["{secret}", "../../{secret}", "folder/"])
def test_a_link_out_of_the_archive_is_not_followed(target: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1\t0\tsecret")
    archive = evil({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": target.format(secret=tmp_path / "secret")})
    with pytest.raises(ValueError, match="movieReviewSnippets_GroundTruth.txt must be a file in the archive"):
        sentiment._parse(archive)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            archive.addfile(folder := tarfile.TarInfo(sentiment._ARCHIVE))
            folder.type = tarfile.DIRTYPE
            archive.members.clear()
            archive.addfile(folder)
        with pytest.raises(ValueError, match=r"hutto_ICWSM_2014\.tar\.gz must be a file in the archive"):
            sentiment._parse(file.getvalue())


def test_an_unknown_domain_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="name must be one of movies, amazon, tweets, nyt, got 'films'"):
        load_domain("films")


# Hub sets

datasets = pytest.importorskip("datasets")
ROWS = {"text": ["good film", "bad film", "fine film", "poor film"], "label": [1, 0, 1, 0]}


def test_a_set_saved_on_disk_gives_the_same_record_type(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"]))
    part = datasets.Dataset.from_dict(ROWS, features=features)
    datasets.DatasetDict(train=part, test=part.select([2])).save_to_disk(str(tmp_path / "set"))
    capfd.readouterr()  # saving shows a progress bar
    path = str(tmp_path / "set")
    sentences = sentiment.load_hub(path)
    assert all(isinstance(s, Sentence) and s.domain == path and s.ratings == () for s in sentences)
    assert [(s.text, s.category) for s in sentences] == list(zip(ROWS["text"], ROWS["label"], strict=True))
    assert [s.text for s in sentiment.load_hub(path, split="test")] == ["fine film"]
    assert capfd.readouterr() == ("", "")


def test_labels_that_are_text_are_numbered_over_all_splits_of_a_folder_of_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.csv").write_text("sentence,mood\ngood,happy\nbad,sad\n")
    (tmp_path / "set" / "test.csv").write_text("sentence,mood\nbad,sad\nwell,calm\n")
    train = sentiment.load_hub(str(tmp_path / "set"), text="sentence", label="mood")
    assert capfd.readouterr() == ("classes: 0 = calm, 1 = happy, 2 = sad\n", "")
    test = sentiment.load_hub(str(tmp_path / "set"), text="sentence", label="mood", split="test")
    assert [s.category for s in train] == [1, 2] and [s.category for s in test] == [2, 0]


@pytest.mark.parametrize(
    "change, arguments, message",
    [
        (
            {"label": [0.5, 1.0, 0.0, 1.0]},
            {},
            r"column 'label' must hold text or whole numbers from 0, got 0\.5 in row 0",
        ),
        ({"label": [0, 1, -1, 1]}, {}, r"column 'label' must hold .* got -1 in row 2"),
        ({"label": ["a", None, "b", "a"]}, {}, r"column 'label' must hold .* got None in row 1"),
        ({"text": ["a", "b", None, "d"]}, {}, r"column 'text' must hold text, got None in row 2"),
        ({}, {"label": "stars"}, r"column 'stars' must be one of text, label"),
        ({}, {"text": "review"}, r"column 'review' must be one of text, label"),
        ({}, {"split": "test"}, r"split must be one of train, got 'test'"),
    ],
)
def test_a_set_that_does_not_fit_is_named(change: dict, arguments: dict, message: str, tmp_path: Path) -> None:
    part = datasets.Dataset.from_dict(ROWS | change)
    datasets.DatasetDict(train=part).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=message):
        sentiment.load_hub(str(tmp_path / "set"), **arguments)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r'pip install "project-and-regularize\[hub\]"'):
        sentiment.load_hub("anything")
