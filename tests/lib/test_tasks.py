"""Tasks: no leak between parts, right answers score 100, metrics beside others, one model asked, tuned and prompted."""
from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from lib.adapters import detach
from lib.data import shuffled
from lib.models import LanguageModel, load_encoder
from lib.tasks import code as code_task
from lib.tasks import task as task_module
from lib.tasks import wordnet
from lib.tasks.augmentation import reworded, synonyms, written
from lib.tasks.classification import classification
from lib.tasks.code import code
from lib.tasks.dialogue import _examples as _dialogue
from lib.tasks.dialogue import dialogue
from lib.tasks.entities import _examples as _entities
from lib.tasks.entities import entities
from lib.tasks.options import option_scores
from lib.tasks.papers import FIRST_YEAR, QUESTIONS, control, questions, summaries
from lib.tasks.tagging import Tagger, tagged, tune_tagger, words_of
from lib.tasks.task import (
    PARTS,
    Example,
    Form,
    Task,
    answers,
    apart,
    cached,
    each_way,
    exact,
    packed,
    parted,
    prompted,
    scores,
    tune,
    unpacked,
)
from lib.tasks.translation import _examples as _translation
from lib.tasks.translation import translation
from lib.tasks.wordnet import _knowledge, _relations, knowledge, relations
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

MAKERS = (classification, relations, entities, questions, translation, summaries, dialogue, control, knowledge, code)
SIZES = {"classification": 9000, "relations": 1500, "entities": 650, "questions": 100, "translation": 1500,
         "summaries": 80, "dialogue": 270, "control": 240, "knowledge": 650, "code": 300}  # at least, all parts


def leaks(parts: Mapping[str, Sequence[Example]]) -> list[str]:
    """What two parts have in common: groups, prompts, and for a tuned model the whole of an example."""
    found = []
    for name in ("group", "prompt"):
        seen: dict[str, set[str]] = {}
        for part, examples in parts.items():
            for example in examples:
                seen.setdefault(getattr(example, name), set()).add(part)
        found += [f"{name} {key!r} is in {' and '.join(sorted(where))}" for key, where in seen.items()
                  if len(where) > 1]
    return found


@pytest.mark.parametrize("make", MAKERS)
def test_no_group_and_no_prompt_lies_in_two_parts(make: Callable[[], Task]) -> None:
    task = make()
    assert task.parts.keys() == PARTS.keys() and all(task.parts.values())
    assert not leaks(task.parts)
    example = task.parts["test"][0]
    assert leaks({**task.parts, "train": [*task.parts["train"], example]})  # control: the leak is seen
    assert leaks({**task.parts, "train": [*task.parts["train"], replace(example, group="other")]})


@pytest.mark.parametrize("make", MAKERS)
def test_examples_are_whole_and_the_dull_answer_is_an_answer(make: Callable[[], Task]) -> None:
    task = make()
    examples = [example for part in task.parts.values() for example in part]
    assert len(examples) >= SIZES[task.name]
    assert all(e.prompt.strip() and e.answer.strip() and e.group.strip() for e in examples)
    assert all(e.answer in e.options and len(set(e.options)) == len(e.options) for e in examples if e.options)
    for dull in task.dull.values():
        said = [dull(example) for example in task.parts["test"][:50]]
        assert all(text.strip() for text in said)
        assert all(text in e.options for text, e in zip(said, task.parts["test"][:50], strict=True) if e.options)


@pytest.mark.parametrize("make", [maker for maker in MAKERS if maker is not code])
def test_the_right_answer_is_right_and_another_is_not(make: Callable[[], Task]) -> None:
    task = make()
    test = shuffled(task.parts["test"], 0)[:40]
    right = [example.answer for example in test]
    assert scores(task, right, test) == pytest.approx([100.0] * len(test))
    wrong = [next((option for option in e.options if option not in (e.answer, *json.loads(e.extra or "[]"))), "xyzzy")
             if task.name == "questions" else next((option for option in e.options if option != e.answer), "xyzzy")
             for e in test]
    assert max(scores(task, wrong, test)) < 100 and all(0 <= s <= 100 for s in scores(task, wrong, test))


def test_a_split_by_another_salt_is_another_and_one_prompt_has_one_group() -> None:
    examples = [Example(f"p{i}", "a", f"g{i // 2}") for i in range(400)]
    first, other = parted(examples), parted(examples, salt="v2")
    assert sum(map(len, first.values())) == 400 and first != other and not leaks(first)
    assert len(first["train"]) == pytest.approx(240, abs=40) and len(first["dev"]) == pytest.approx(40, abs=25)
    with pytest.raises(ValueError, match="a prompt must have one group, got 'p' in 'g' and 'h'"):
        parted([Example("p", "a", "g"), Example("p", "a", "h")])


@pytest.mark.parametrize(
    ("said", "true"),
    [
        ("place: Rome", "place: Rome; person: Noah"),
        ("place: Rome; place: Oslo; group: Oslo", "place: Rome; person: Noah"),
        ("person: Rome", "place: Rome"),
        ("place: Rome; place: Rome", "place: Rome"),
        ("none", "place: Rome"),
        ("place: rome;  person: Noah ", "place: Rome; person: Noah"),
    ],
)
def test_entity_f1_is_that_of_scikit_learn(said: str, true: str) -> None:
    def pairs(text: str) -> set[tuple[str, str]]:
        cut = [part.split(":") for part in text.lower().split(";") if ":" in part]
        return {(kind.strip(), name.strip()) for kind, name in cut}

    table = MultiLabelBinarizer().fit_transform([pairs(true), pairs(said)])
    example = replace(entities().parts["test"][0], answer=true)
    assert entities().score(said, example) == pytest.approx(100 * f1_score(table[0], table[1]))


def test_rouge_is_the_share_of_common_words() -> None:
    task = summaries()
    example = replace(task.parts["test"][0], answer="the cat sat on the mat")
    said = "the cat is on a mat"
    common = sum((Counter(said.split()) & Counter(example.answer.split())).values())
    assert task.score(said, example) == pytest.approx(100 * 2 * common / (6 + 6))


def test_chrf_counts_common_runs_of_letters() -> None:
    """F with recall twice as important, mean over runs of one to six signs, spaces apart (Popovic, 2015)."""
    said, true = "le chat noir", "le chien noir"

    def runs(text: str, n: int) -> Counter[str]:
        text = text.replace(" ", "")
        return Counter(text[i : i + n] for i in range(len(text) - n + 1))

    precision, recall = [], []
    for n in range(1, 7):
        common = sum((runs(said, n) & runs(true, n)).values())
        precision.append(common / sum(runs(said, n).values()))
        recall.append(common / sum(runs(true, n).values()))
    p, r = sum(precision) / 6, sum(recall) / 6
    task = translation()
    found = task.score(said, replace(task.parts["test"][0], answer=true))
    assert found == pytest.approx(100 * 5 * p * r / (4 * p + r), abs=0.1)


def test_no_gloss_and_no_statement_lies_in_two_parts() -> None:
    """A gloss with two marked words, or two synsets of one word, would pass a test of groups alone."""
    whole = parted(cached("task-relations-1", _relations))
    for task, text in ((relations(), lambda e: e.prompt.split("\n")[0].translate(str.maketrans("", "", "[]"))),
                       (knowledge(), lambda e: e.answer)):
        seen = {part: {text(e) for e in examples} for part, examples in task.parts.items()}
        assert not seen["train"] & (seen["dev"] | seen["test"]) and not seen["dev"] & seen["test"], task.name
        if task.name == "relations":
            assert {text(e) for e in whole["train"]} & seen["test"]  # control: the leak that is mended is seen
            assert whole["test"] == task.parts["test"]


def test_parts_are_kept_apart_from_the_last_one_back() -> None:
    def some(*keys: str) -> list[Example]:
        return [Example(f"p{key}", "a", key) for key in keys]

    found = apart({"train": some("x", "y", "z"), "dev": some("y", "w"), "test": some("w", "v")}, lambda e: e.group)
    assert {part: [e.group for e in examples] for part, examples in found.items()} == {
        "train": ["x", "z"], "dev": ["y"], "test": ["w", "v"]}


def test_near_twins_of_a_later_part_go_from_the_earlier_one() -> None:
    """One word of three exchanged, or a name and a number of seven; what differs in more may stay."""
    def some(*texts: str) -> list[Example]:
        return [Example(f"p{text}", "a", text) for text in texts]

    parts = {"train": some("a CAT sleeps", "big dog", "Oslo lies 7 miles from Bergen now", "cats sleep", "or his mule"),
             "dev": some("is it his mule"),
             "test": some("a dog sleeps.", "big cat", "Oslo lies 9 miles from Turku now")}
    found = apart(parts, lambda e: e.group, twins=True)
    assert {part: [e.group for e in examples] for part, examples in found.items()} == {
        "train": ["big dog", "cats sleep", "or his mule"], "dev": ["is it his mule"],
        "test": [e.group for e in parts["test"]]}
    assert apart(parts, lambda e: e.group) == parts  # control: none of these is another one's copy


REVIEW = "Is this review negative or positive?"
TWINS: dict[Callable[[], Task], tuple[Callable[[], list[Example]], Callable[[Example], str], str]] = {
    relations: (_relations, lambda e: e.prompt.partition("\n")[0], "task-relations-1"),
    entities: (_entities, lambda e: e.extra, "task-entities-2"),
    translation: (_translation, lambda e: e.extra, "task-translation-1"),
    dialogue: (_dialogue, lambda e: e.prompt, "task-dialogue-2"),
}


def with_a_twin(earlier: Sequence[Example], later: Sequence[Example], text: Callable[[Example], str],
                ) -> NDArray[np.bool_]:
    """Which later texts share half of all words with an earlier one, by scikit-learn's words and a matrix product."""
    count = CountVectorizer(binary=True, token_pattern=r"[^\W\d_]+").fit([*map(text, earlier), *map(text, later)])
    a, b = (count.transform(map(text, side)).astype(float) for side in (earlier, later))
    both = (a @ b.T).toarray()
    return np.asarray(both / (a.sum(1) + b.sum(1).T - both) >= 0.5).any(0)


@pytest.mark.parametrize("make", TWINS)
def test_no_text_of_one_template_lies_in_two_parts(make: Callable[[], Task]) -> None:
    examples, text, name = TWINS[make]
    task, whole = make(), parted(cached(name, examples))
    for parts, leaky in ((task.parts, False), (whole, True)):  # control: the leak that is mended is seen
        for told, asked in (("train", "test"), ("dev", "test"), ("train", "dev")):
            assert with_a_twin(parts[told], parts[asked], text).any() == leaky
    assert whole["test"] == task.parts["test"] and len(task.parts["train"]) > 100 and len(task.parts["dev"]) >= 20


@pytest.mark.parametrize(("make", "share"), [(control, 0), (questions, 0), (code, 0), (classification, 0.01)])
def test_the_other_texts_have_next_to_no_twins(make: Callable[[], Task], share: float) -> None:
    parts = make().parts
    asked = shuffled(parts["test"], 0)[:200]
    assert with_a_twin(parts["train"], asked, lambda e: e.prompt.removesuffix(REVIEW)).mean() <= share
    assert with_a_twin(parts["test"], asked, lambda e: e.prompt).all()  # control: each is its own


def test_the_marked_word_of_the_test_part_is_never_trained_on() -> None:
    """The dull answer that looks at the marked word knows none in the test part: it falls back on the usual one."""
    task = relations()
    test = task.parts["test"]
    assert [task.dull["marked word"](e) for e in test] == [task.dull["most frequent"](e) for e in test]
    assert all(f"[{e.group}]" in e.prompt for e in test)


def test_the_shorter_of_two_statements_is_a_dull_answer() -> None:
    task = knowledge()
    example = replace(task.parts["test"][0], options=("A cat is an animal.", "A cat is a tin."))
    assert task.dull["the shorter statement"](example) == "A cat is a tin."


NOUNS = re.compile(r"(?:An?|a) (\w+) is (?:a kind|part|a member) of an? (\w+)\.")


def test_no_noun_of_a_statement_lies_in_two_parts() -> None:
    """Read off the statements, true and false, and not off what the task keeps about them."""
    def nouns(examples: Sequence[Example]) -> set[str]:
        return {noun for e in examples for option in e.options for noun in NOUNS.fullmatch(option).groups()}  # type: ignore[union-attr]

    task, whole = knowledge(), parted(cached("task-knowledge-3", _knowledge))
    for parts, leaky in ((task.parts, False), (whole, True)):  # control: the leak that is mended is seen
        for told, asked in (("train", "test"), ("dev", "test"), ("train", "dev")):
            assert bool(nouns(parts[told]) & nouns(parts[asked])) == leaky
    assert whole["test"] == task.parts["test"] and len(task.parts["train"]) > 300 and len(task.parts["dev"]) > 60


def test_no_statement_has_a_noun_that_its_gloss_calls_an_insult(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words of the glosses, read off the archive; control: without the filter some have one."""
    insults = {name for _, name, gloss, _ in wordnet._synsets()
               if any(f"{kind} {what}" in gloss for kind in ("offensive", "insulting") for what in ("term", "name"))}

    def found() -> set[str]:
        return {noun for e in wordnet._knowledge() for noun in e.extra.split()} & insults

    assert len(insults) > 20 and not found()
    monkeypatch.setattr(wordnet, "INSULT", re.compile("(?!)"))
    assert found()


def test_the_usual_place_answers_all_three_questions_about_a_paper() -> None:
    for task in (control(), questions()):
        example, usual = task.parts["test"][0], task.dull["usual place"]
        abstract = ("It is hard.", "We try.", "It works.")
        asked = replace(example, options=abstract, extra=json.dumps({"abstract": abstract, "others": []}))
        said = [usual(replace(asked, prompt=question)) for question in QUESTIONS.values()]
        assert said == ["It is hard.", "We try.", "It works."]


def test_the_dull_answer_on_names_knows_a_hundred_examples() -> None:
    task = entities()
    known = {pair for e in shuffled(task.parts["train"], 0)[:100] for pair in e.answer.split("; ")}
    kind, name = next(pair.split(": ") for pair in sorted(known) if pair.startswith("person") and pair.count(" ") == 1)
    example = replace(task.parts["test"][0], extra=f"a friend of {name} and Xylo Quux in Zzyzx")
    assert task.dull["kinds as seen"](example) == f"{kind}: {name}; person: Xylo Quux; place: Zzyzx"


def test_reviews_are_asked_in_the_twelve_forms_of_chapter_1() -> None:
    cells = json.loads((Path(__file__).parents[2] / "chapters" / "01-background.ipynb").read_text("utf-8"))["cells"]
    source = next(text for cell in cells if "PROMPTS = [" in (text := "".join(cell["source"])))
    there = next(ast.literal_eval(node.value) for node in ast.parse(source).body if isinstance(node, ast.Assign)
                 and ast.unparse(node.targets[0]) == "PROMPTS")
    example = Example("Fine film. Is it?", "positive", "Fine film.", ("negative", "positive"))
    forms = [form for form in classification().forms if form.say(example, "negative") != "negative"]
    assert [(("" if not form.chat else "chat: ") + form.ask(example),
             *(form.say(example, word) for word in example.options)) for form in forms] == [
        (template.format("Fine film."), *words) for template, *words in there]


@pytest.mark.parametrize("make", MAKERS)
def test_no_form_holds_the_answer_and_each_says_what_is_asked(make: Callable[[], Task]) -> None:
    """A form is a function of what a model may see: with another right answer, and other words for the score alone, it
    asks the same. A written form shows the source; an option is worded apart from each other one, and from nothing."""
    task = make()
    secret = {"summaries": "{}", "control": "{}", "questions": "[]", "code": "{}"}  # `extra` serves the score alone
    for example in shuffled(task.parts["test"], 0)[:20]:
        shown = example.extra if task.name in ("entities", "translation") else example.group
        if task.name in ("summaries", "control"):
            shown = " ".join(json.loads(example.extra)["abstract"])
        if task.name in ("questions", "code", "dialogue"):
            shown = example.prompt.partition("\n\nW")[0].strip()
        for form in task.forms:
            asked = form.ask(example)
            other = next((option for option in example.options if option != example.answer), "xyzzy")
            assert asked == form.ask(replace(example, answer=other, extra=secret.get(task.name, example.extra)))
            assert asked.strip() and asked == asked.rstrip(" ") and "{}" not in asked
            if example.options:
                said = [form.say(example, option) for option in example.options]
                assert len(set(said)) == len(said) and all(text.strip() for text in said)
                assert all(text.startswith(" ") for text in said) or form.chat  # a word goes on where text ends
            if task.name not in ("knowledge", "relations"):
                words = [re.sub(r"^\d+\. ", "", line) for line in asked.splitlines()]
                assert shown in asked or shown in " ".join(words)


@pytest.mark.parametrize(("make", "least"), [(questions, 4), (summaries, 4), (code, 4)])
def test_each_job_is_asked_in_several_forms(make: Callable[[], Task], least: int) -> None:
    task = make()
    example = task.parts["test"][0]
    seen = {(form.ask(example), form.begin, form.shots, form.chat) for form in task.forms}
    assert len(seen) == len(task.forms) >= least


def test_papers_are_of_years_with_a_free_licence() -> None:
    ids = {e.group for part in control().parts.values() for e in part}
    years = {int(i[:4]) if i[0].isdigit() else 2000 + int(i[1:3]) for i in ids}
    assert FIRST_YEAR <= min(years) and max(years) < 2026


def test_names_of_the_problems_are_not_trained_on() -> None:
    task = code()
    assert not {e.group for e in task.parts["train"]} & {e.group for e in task.parts["test"]}
    for e in task.parts["train"]:
        ast.parse(e.prompt + e.answer)


def test_code_is_scored_by_its_tests_in_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def run(program: str, *, seconds: int) -> object:
        ran.append(program)
        scope: dict[str, object] = {}
        try:
            exec(program, scope)  # of this test alone
        except AssertionError:
            return type("O", (), {"finished": False})
        return type("O", (), {"finished": True})

    monkeypatch.setattr(code_task, "run_safely", run)
    extra = json.dumps({"prompt": "", "test": "def check(f):\n    assert f(2) == 4"})
    example = Example("def double(x):\n", "", "double", extra=extra)
    task = code()
    assert task.score("    return 2 * x\n\nThis doubles.", example) == 100.0  # what comes after the function is cut
    assert task.score("    return x", example) == 0.0
    assert len(ran) == 2


# One model


def tiny() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(tiny_llama(), tiny_tokenizer())


def toy(*, options: bool = True) -> Task:
    words = ("good", "bad") if options else ()
    some = ("a", "the", "it", "is")
    examples = [Example(f"{some[i % 4]} {some[i // 4 % 4]} {some[i // 16]} {'good' if i % 3 else 'bad'}",
                        "good" if i % 3 else "bad", str(i), words) for i in range(64)]
    return Task("toy", parted(examples), exact, {"good": lambda _: "good"}, "accuracy", tokens=3)


def test_the_model_answers_with_an_option_or_freely() -> None:
    task, model = toy(), tiny()
    assert set(answers(model, task, task.parts["test"])) <= {"good", "bad"}
    mixed = [replace(e, options=e.options[::-1] if i % 2 else e.options) for i, e in enumerate(task.parts["test"])]
    assert answers(model, task, mixed) == answers(model, task, task.parts["test"])  # two roads, one answer
    free = toy(options=False)
    assert len(answers(model, free, free.parts["test"])) == len(free.parts["test"])


def test_shots_are_solved_examples_of_the_training_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """As turns of a conversation, or as text; a prior of options comes after the same examples."""
    task, model, seen = toy(), tiny(), list[str]()

    def record(_: LanguageModel, prompts: Sequence[str], options: Sequence[Sequence[str]]) -> list[torch.Tensor]:
        seen.extend(prompts)
        return [torch.zeros(len(some)) for some in options]

    monkeypatch.setattr(task_module, "option_scores", record)
    for chat in (True, False):
        form = Form(shots=2, chat=chat, say=lambda _, answer: f" {answer}", over_prior=True)
        (test,) = task.parts["test"][:1]
        chosen = prompted(model, replace(task, forms=(form,)), seed=1, items=2)
        seen.clear()
        answers(model, chosen, [test])
        told = shuffled(task.parts["train"], 1)[:2]
        if chat:
            turns = [{"role": role, "content": text} for e in told
                     for role, text in (("user", e.prompt), ("assistant", f" {e.answer}"))]
            wanted = [model.tokenizer.apply_chat_template([*turns, {"role": "user", "content": asked}], tokenize=False,
                                                          add_generation_prompt=True) for asked in (test.prompt, "N/A")]
        else:
            wanted = ["".join(f"{e.prompt} {e.answer}\n\n" for e in told) + asked for asked in (test.prompt, "N/A")]
        assert seen == wanted


def test_the_prompt_is_chosen_on_development_examples_alone() -> None:
    task, model = toy(), tiny()
    asked: list[Example] = []

    def judge(answer: str, example: Example) -> float:
        asked.append(example)
        return 0.0

    forms = (Form(), Form(shots=2), Form(ask=lambda e: f"{e.prompt} it is"))
    chosen = prompted(model, replace(task, score=judge, forms=forms), seed=0, items=3)
    assert {e.group for e in asked} <= {e.group for e in task.parts["dev"]} and len(asked) == 3 * 3 * 3
    assert chosen.forms == (Form(),) and chosen.parts == task.parts  # a tie: the first of the best


def test_the_form_that_scores_best_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that looks at nothing but the last word: one form puts the right one there."""
    def last(_: LanguageModel, prompts: Sequence[str], options: Sequence[Sequence[str]]) -> list[torch.Tensor]:
        return [torch.tensor([float(p.endswith(option)) for option in some])
                for p, some in zip(prompts, options, strict=True)]

    monkeypatch.setattr(task_module, "option_scores", last)
    forms = (Form(ask=lambda e: "the film"), Form(chat=False), Form(chat=False, ask=lambda e: f"{e.prompt} good"))
    assert prompted(tiny(), replace(toy(), forms=forms), seed=0, items=6).forms == forms[1:2]


def test_a_free_answer_has_its_beginning_and_ends_where_the_form_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_module, "generate", lambda _, prompts, **__: [f" {p[-6:]}|\nand more" for p in prompts])
    task = replace(toy(options=False), forms=(Form(chat=False, begin=" It is", stop="\n"),))
    assert answers(tiny(), task, task.parts["test"][:1]) == [" It is  It is|"]


def test_tuning_learns_the_answers_and_leaves_the_base() -> None:
    task, model = toy(), tiny()
    start = {name: p.clone() for name, p in model.named_parameters()}
    tune(model, task, size=30, epochs=8, seed=0, rank=2, lr=2e-2)
    test = task.parts["test"]
    after = sum(scores(task, answers(model, task, test), test)) / len(test)
    detach(model)
    assert all(torch.equal(p, start[name]) for name, p in model.named_parameters())
    before = sum(scores(task, answers(model, task, test), test)) / len(test)
    assert after > 90 > before


def log_p(model: LanguageModel, prompt: str, option: str) -> float:
    """Log-probability of an option after its prompt, from transformers' model alone."""
    before, said = (model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, option))
    with torch.no_grad():
        logs = model.decoder(input_ids=torch.tensor([before + said])).logits[0].log_softmax(1)
    return sum(logs[len(before) + t - 1, token].item() for t, token in enumerate(said))


def test_options_are_scored_as_by_reading_all_anew() -> None:
    """The oracle reads each prompt with each option from the start; options of several lengths, prompts that begin
    alike, as those of one template do, and not."""
    model = tiny()
    asked = {"alike": ["the film is good", "the film was a poor film", "the film"],
             "not alike": ["good film", "a book was not fine", "is it the book"], "one": ["the film"],
             "the same twice": ["the film is", "the film is"]}
    options = [[" good", " bad film", " it is not a good film"], [" very good", " fine"], [" poor"]]
    for prompts in asked.values():
        some = options[: len(prompts)]
        slow = [[log_p(model, prompt, option) for option in one] for prompt, one in zip(prompts, some, strict=True)]
        fast = option_scores(model, prompts, some)
        assert all(b.tolist() == pytest.approx(a, abs=1e-5) for a, b in zip(slow, fast, strict=True))
        assert all(torch.allclose(a, option_scores(model, [prompt], [one])[0], atol=1e-5)
                   for a, prompt, one in zip(fast, prompts, some, strict=True))
    with pytest.raises(ValueError, match="options must hold a list of texts for each prompt"):
        option_scores(model, ["the film"], [])


@pytest.mark.parametrize("way", ["sum", "per_token", "over_prior"])
def test_options_are_read_as_the_form_says(way: str) -> None:
    """The oracle reads each prompt with each option from the start; each way of reading differs from the sum."""
    model = tiny()
    options = (" good", " bad film", " it is not a good film", " a film")
    asked = [Example(text, options[0], text, options) for text in ("the film is good", "a poor film", "it was", "fine")]
    forms = {"sum": Form(chat=False), "per_token": Form(chat=False, per_token=True),
             "over_prior": Form(chat=False, over_prior=True)}
    form = forms[way]

    def value(prompt: str, option: str, way: str) -> float:
        n = len(model.tokenizer(option, add_special_tokens=False)["input_ids"])
        before = log_p(model, "N/A", option) if way == "over_prior" else 0.0
        return (log_p(model, prompt, option) - before) / (n if way == "per_token" else 1)

    def best(way: str) -> list[str]:
        return [max(options, key=lambda option: value(e.prompt, option, way)) for e in asked]

    assert answers(model, Task("toy", {}, exact, {}, "accuracy", forms=(form,)), asked) == best(way)
    assert way == "sum" or best(way) != best("sum")  # control


def test_the_reading_of_a_tuned_model_is_chosen_on_development_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: a right option of two tokens has -3, a wrong one of one token -2. The sum takes the wrong one, the
    mean (-1.5 against -2) the right one; the prior is -3 and -2 too, so that nothing is left to tell them by."""
    options, model = (" bad", " good film"), tiny()
    assert [len(model.tokenizer(o, add_special_tokens=False)["input_ids"]) for o in options] == [1, 2]
    monkeypatch.setattr(task_module, "option_scores",
                        lambda _, prompts, some: [torch.tensor([-2.0, -3.0]) for _ in prompts])
    parts = parted([Example(f"p{i}", options[1], str(i), options) for i in range(60)])
    task = Task("toy", parts, exact, {}, "accuracy", forms=(Form(chat=False),))
    ways = {(form.per_token, form.over_prior): set(said)
            for form, said in each_way(model, task, parts["test"]).items()}
    assert ways == {(False, False): {" bad"}, (True, False): {" good film"}, (False, True): {" bad"}}
    chosen = prompted(model, task, seed=0, items=5)
    assert chosen.forms == (Form(chat=False, per_token=True),)
    assert set(answers(model, chosen, parts["test"])) == {" good film"}
    free = replace(task, parts={}, forms=(Form(chat=False),), tokens=2)
    written_freely = [replace(e, options=()) for e in parts["dev"][:2]]
    assert list(each_way(model, free, written_freely)) == [Form(chat=False)]  # nothing to choose where it writes


@pytest.mark.parametrize("options", [True, False])
def test_answers_come_back_from_numbers(options: bool) -> None:
    task, speaks = toy(options=options), tiny_tokenizer()
    test = task.parts["test"]
    said = [e.answer if options else f"{e.answer} film" for e in test]
    assert unpacked(speaks, packed(speaks, said, test), test) == said
    if not options:
        assert unpacked(speaks, packed(speaks, ["", *said[1:]], test), test)[1:] == said[1:]


def test_texts_are_reworded_by_synonyms_alone() -> None:
    same = {"film": ["picture"], "good": ["fine", "well"], "the": ["a"]}
    texts = ["The good film, the GOOD one.", "Nothing here."]
    made = reworded(texts, 5, same, seed=0, share=1.0)
    assert len(made) == 5 and made[1] == made[3] == texts[1]  # in turn; what has no synonym stays
    assert all(line.startswith("The ") and "picture" in line and "good" not in line for line in made[::2])
    assert reworded(texts, 2, same, seed=0, share=0.0) == texts
    assert reworded(texts, 9, same, seed=1) != reworded(texts, 9, same, seed=2)


def test_synonyms_share_a_synset() -> None:
    same = synonyms()
    assert "automobile" in same["car"] and "car" in same["automobile"] and "glad" in same["happy"]
    assert all(word not in others for word, others in same.items())


def test_a_model_writes_texts_of_a_kind_and_each_is_its_own() -> None:
    model = tiny()
    made = written(model, ["good film", "fine film"], "film", 8, seed=0, max_new_tokens=6)
    assert made == written(model, ["good film", "fine film"], "film", 8, seed=0, max_new_tokens=6)
    assert 1 < len(set(made)) <= 8 and all("\n" not in line and line.strip() for line in made)


def test_a_tagger_learns_names_and_writes_them_as_answers() -> None:
    names = {"place": ("Rome", "Oslo"), "person": ("Noah", "Ada Lovelace")}
    texts = ["the roads to {}", "a book by {}, who wrote", "({}) and others"]
    examples = [Example(text, f"{kind}: {name}", text, extra=text.format(name))
                for kind, some in names.items() for name in some for text in texts]
    tagger = Tagger(load_encoder("minilm"), tuple(names))
    task = entities()
    before = sum(scores(task, tagged(tagger, examples), examples)) / len(examples)
    tune_tagger(tagger, examples, epochs=25, lr=5e-4, seed=0)
    assert tagged(tagger, examples) == [e.answer for e in examples]  # two words of a name are one name
    assert before < 50
    assert words_of("(Rome), a city;") == ["(", "Rome", ")", ",", "a", "city", ";"]


def test_corpus_bleu_and_points_by_hand() -> None:
    """What the chapter prints: BLEU of two sentences (Papineni et al. 2002), counted here, and hit at 1."""
    from sacrebleu import corpus_bleu

    said, true = ["the cat sat on the mat today", "a dog"], ["the cat sat on a mat today", "a dog"]

    def grams(line: str, n: int) -> Counter[tuple[str, ...]]:
        words = line.split()
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    logs = 0.0
    for n in range(1, 5):
        hit = sum(sum((grams(a, n) & grams(b, n)).values()) for a, b in zip(said, true, strict=True))
        every = sum(sum(grams(a, n).values()) for a in said)
        logs += math.log(hit / every) / 4
    assert corpus_bleu(said, [true]).score == pytest.approx(100 * math.exp(logs), abs=1e-6)  # as long as the truth
    task = questions()
    test = task.parts["test"][:10]
    marked = [json.loads(e.extra) for e in test]
    right = [float(e.options[0] in some) for e, some in zip(test, marked, strict=True)]
    assert scores(task, [e.options[0] for e in test], test) == [100 * r for r in right]
