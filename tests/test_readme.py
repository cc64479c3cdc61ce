"""The README's recipe and commands do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RECIPE, THIN, SPEECH = re.findall(r"```python\n(.*?)```", README, re.S)
TOPICS = {
    "sport": [
        "the match went to extra time",
        "she won the race by a second",
        "the coach praised the goalkeeper",
        "a penalty decided the final",
        "the team trains twice a day",
    ],
    "food": [
        "stir the soup and add salt",
        "the bread rose in the warm oven",
        "fry the onions until golden",
        "this cheese tastes of nuts",
        "we ate rice with beans",
    ],
    "weather": [
        "rain is expected in the north",
        "the storm reached the coast",
        "a cold front brings snow",
        "it will be sunny and dry",
        "fog lies over the valley",
    ],
}


PAIRS = [(f"What colour is {thing}?", f"Ahoy! {thing.capitalize()} is {colour}, captain.") for thing, colour in (
    ("snow", "white"), ("grass", "green"), ("the sky", "blue"), ("blood", "red"), ("coal", "black"),
    ("a lemon", "yellow"), ("milk", "white"), ("an orange", "orange"), ("the sea", "blue"), ("a tomato", "red"))]


def run_recipe(
    folder: Path, texts: list[str], labels: list[str], recipe: str = RECIPE
) -> subprocess.CompletedProcess[str]:
    return run(folder, f"texts, labels = {texts!r}, {labels!r}\n{recipe}")


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )


def test_the_recipe_learns_three_topics_from_the_readers_lists(tmp_path: Path) -> None:
    texts = [text for row in zip(*TOPICS.values(), strict=True) for text in row] * 2
    labels = list(TOPICS) * 10
    done = run_recipe(tmp_path, texts, labels)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(labels[:3])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my-model"]


def test_with_two_lines_more_the_recipe_trains_a_low_rank_change_and_saves_a_plain_model(tmp_path: Path) -> None:
    attached, merged = THIN.splitlines(keepends=True)
    rate = re.search(r"LoRA is two lines more\*\* and a larger rate, `(lr=\S+)`", README)[1]
    recipe = re.sub(r"(?m)^(model = .*\n)", rf"\1{attached}", RECIPE).replace("save(model", f"{merged}save(model")
    recipe = "from lib.adapters import LoRA, attach, merge\nfrom lib.names import ends_in\n" + recipe
    recipe = recipe.replace("lr=1e-4", rate) + "print(sum(p.requires_grad for p in model.encoder.parameters()))\n"
    texts = [text for row in zip(*TOPICS.values(), strict=True) for text in row] * 4  # steps enough in any precision
    labels = list(TOPICS) * 20
    done = run_recipe(tmp_path, texts, labels, recipe)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [str(labels[:3]), "0"]  # merged: all of the encoder is frozen and plain
    unmerged = run_recipe(tmp_path, texts, labels, recipe.replace(merged, ""))
    assert unmerged.returncode == 1 and "call merge(model) first" in unmerged.stderr


def test_a_rare_class_is_weighed_and_reported(tmp_path: Path) -> None:
    """Nine rows of one class to one of the other: weighed, it is found; the report has a row for each class."""
    told = re.search(r"put `(cross_entropy\(weights=.*?\))` in place", README)[1]
    sport, food = TOPICS["sport"], TOPICS["food"]
    texts, labels = [*sport] * 9 + [*food], ["sport"] * 45 + ["food"] * 5
    recipe = RECIPE.replace("cross_entropy()", told).replace("texts[:3]", "texts[-5:]")
    done = run_recipe(tmp_path, texts, labels, recipe)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(["food"] * 5)
    assert "macro avg" in done.stdout and "recall" in done.stdout


def test_the_recipe_needs_training(tmp_path: Path) -> None:
    """Negative control: without `fit` the head knows nothing of the labels."""
    texts = [text for row in zip(*TOPICS.values(), strict=True) for text in row]
    recipe = re.sub(r"(?m)^fit\(.*\n", "", RECIPE).replace("texts[:3]", "texts")
    done = run_recipe(tmp_path, texts, list(TOPICS) * 5, recipe)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] != str(list(TOPICS) * 5)


def test_one_class_only_is_named(tmp_path: Path) -> None:
    done = run_recipe(tmp_path, ["a", "b"], ["same", "same"])
    assert done.returncode == 1 and "ValueError" in done.stderr and "same" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", [RECIPE, SPEECH])
def test_the_recipe_is_about_ten_lines(recipe: str) -> None:
    steps = [line for line in recipe.splitlines() if line and not re.match(r"(from|import) ", line)]
    assert len(steps) <= 10


def test_the_chat_model_learns_the_readers_pairs(tmp_path: Path) -> None:
    """What is held out gets likelier by the adapter as it is loaded again, which then answers in the readers' words."""
    done = run(tmp_path, f"pairs = {PAIRS * 2!r}\n{SPEECH}")
    assert done.returncode == 0, done.stderr
    losses, *answer = done.stdout.splitlines()[-2:]
    before, after = map(float, losses.split())
    assert after < 0.5 * before
    assert answer[0].startswith("Ahoy! ")
    assert sorted(path.name for path in (tmp_path / "my-adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors"]
    unlearned = re.sub(r"(?m)^fit.*$", "", SPEECH).replace("max_new_tokens=60", "max_new_tokens=1")  # the control
    wrong = run(tmp_path, f"pairs = {PAIRS[:2]!r}\n{unlearned}")
    before, after = map(float, wrong.stdout.splitlines()[-2].split())
    assert after == pytest.approx(before, abs=1e-4)


def test_the_language_model_takes_the_labels_as_words() -> None:
    from lib.models import load_decoder
    from lib.text.language import Answers

    line = re.search(r"`model = (Answers\(.*?\))`", README)[1]
    assert eval(line, {"Answers": Answers, "load_decoder": load_decoder}).labels == [" negative", " positive"]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (\w+)", README))))
def test_each_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_the_papermill_line_names_a_chapter_and_its_parameters() -> None:
    notebook, parameter = re.search(r"papermill (\S+) out.ipynb -p (\w+) \d+", README).groups()
    assert (ROOT / notebook).exists()
    assert f'"{parameter} = ' in (ROOT / notebook).read_text().replace("\\n", '"')


def test_each_room_exists() -> None:
    for room in re.findall(r"^\| `(\w+)/` \|", README, re.M):
        assert (ROOT / room).is_dir()
