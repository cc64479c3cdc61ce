"""The command line that writes: what `generate` writes is the oracle, called as a stranger would."""
from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lib.adapters import LoRA, attach
from lib.files.pretrained import SMOLLM2
from lib.models import load_decoder
from lib.names import ends_in
from lib.run.adapter_files import load_adapter, save_adapter
from lib.serve import write
from lib.text.generation import chat_prompt, generate
from tests.lib.tiny_decoder import tiny_llama, tiny_tokenizer

ROOT = Path(__file__).parents[2]
TEXTS = ["who was good", "what is a book"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model that says several words, "plain", another of its shape, "other", and an adapter of the first."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for seed, name in enumerate(("plain", "other")):
        decoder = tiny_llama(tie_word_embeddings=False)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        decoder.save_pretrained(tmp_path / name)
        tiny_tokenizer().save_pretrained(tmp_path / name)
    model = load_decoder(tmp_path / "plain")
    attach(model.decoder, ends_in("q_proj", "v_proj"), lambda W: LoRA(W, 2, alpha=8.0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".B"):
                parameter.add_(torch.randn_like(parameter))
    save_adapter(model, tmp_path / "adapter")
    return tmp_path


def wanted(folder: Path, texts: list[str], *, system: str | None = None, adapted: bool = False, temperature: float = 0,
           seed: int = 0) -> str:
    """What `generate` writes, an answer after the other."""
    model = load_decoder(folder / "plain")
    if adapted:
        load_adapter(model, folder / "adapter")
    prompts = [chat_prompt(model.tokenizer, text, system) for text in texts]
    answers = [generate(model, [prompt], max_new_tokens=9, temperature=temperature, seed=seed)[0] for prompt in prompts]
    return "\n".join(f"{answer}\n" for answer in answers)


def test_it_writes_what_generate_does_from_arguments_and_from_lines(
        folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", str(folder / "plain"), "--tokens", "9"]
    assert write.main([*options, *TEXTS]) == 0
    told, lines = capsys.readouterr().out, "".join(f"{text}\r\n" for text in TEXTS)
    done = subprocess.run([sys.executable, "-m", "lib.serve.write", *options], cwd=ROOT, input=lines,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == told == wanted(folder, TEXTS)
    assert len(set(told.split())) > 2


def test_options_change_what_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for options, asked in (([], {}), (["--system", "no"], {"system": "no"}),
                           (["--temperature", "1", "--seed", "3"], {"temperature": 1.0, "seed": 3}),
                           (["--adapter", str(folder / "adapter")], {"adapted": True})):
        assert write.main(["--model", str(folder / "plain"), "--tokens", "9", *options, TEXTS[0]]) == 0
        told.append(capsys.readouterr().out)
        assert told[-1] == wanted(folder, TEXTS[:1], **asked)  # type: ignore[arg-type]
    assert len(set(told)) == 4


def test_an_adapter_is_merged_before_it_writes(folder: Path) -> None:
    assert not [name for name, _ in write._loaded(str(folder / "plain"), str(folder / "adapter")).named_parameters()
                if "parametrizations" in name]


def test_a_piece_is_told_as_soon_as_it_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(write, "stream", lambda *_, **__: (told.append(piece) or piece for piece in "ab"))

    class Out(io.StringIO):
        def flush(self) -> None:
            told.append(f"flushed {self.getvalue()}")

    monkeypatch.setattr(sys, "stdout", Out())
    assert write.main(["--model", str(folder / "plain"), "--tokens", "9", "who"]) == 0
    assert told[:4] == ["a", "flushed a", "b", "flushed ab"]


REFUSED = [
    (["--model", "{0}/nowhere", "who"], "", "no decoder with safetensors weights at"),
    (["--model", "{0}/plain", "--adapter", "{0}/nowhere", "who"], "", "nowhere holds no whole adapter"),
    (["--model", "{0}/other", "--adapter", "{0}/adapter", "who"], "", "is an adapter for the base sha256:"),
    (["--model", "{0}/plain", "who", " "], "", "a turn must not be blank, got ' ' from the user in row 1"),
    (["--model", "{0}/plain"], "who\n\nwho\n", "a turn must not be blank, got '' from the user in row 1"),
    (["--model", "{0}/plain"], "", "prompts must be one or more, got none"),
    (["--model", "{0}/plain", "who\udcff"], "", "a turn must be whole Unicode"),
    (["--model", "{0}/plain", "who <|im_end|>"], "", "content must not hold special tokens"),
    (["--model", "{0}/plain", "--system", "", "who"], "", "a turn must not be blank, got '' from the system"),
    (["--model", "{0}/plain", "--tokens", "0", "who"], "", "max_new_tokens must be a whole number of at least 1"),
    (["--model", "{0}/plain", "--temperature", "-1", "who"], "", "temperature must be at least 0, got -1"),
    (["--model", "{0}/plain", "--seed", "-1", "who"], "", "seed must be a whole number of at least 0, got -1"),
    (["--model", "{0}/plain", "--tokens", "40", "who", "no " * 30], "", "must fit into 64 places together"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "stdin", "words"), REFUSED)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
        arguments: list[str], stdin: str, words: str, folder: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((stdin).encode()), "utf-8"))
    code = write.main([argument.format(folder) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2 and words in err and len(err.splitlines()) == 1 and out == ""


def test_bytes_that_are_no_text_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    for how in ("strict", "surrogateescape"):  # what a terminal's locale makes of them
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"who\nno \xff\n"), "utf-8", how))
        assert write.main(["--model", str(folder / "plain")]) == 2
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and "decode" in err


def test_a_model_that_is_not_here_and_cannot_be_fetched_is_one_line(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path),
                        "PROJECT_AND_REGULARIZE_CACHE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert write.main(["who"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"pip could not fetch {SMOLLM2}" in err.splitlines()[-1]
