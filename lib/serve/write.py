"""A language model on the command line: `python -m lib.serve.write "a prompt" ...`, or a prompt a line on stdin.

Each prompt is a user's turn in the model's chat template, and its answer is printed as it is written, then an end of
line; an empty line stands between two answers. Ends with 0, or with 2 and one line on stderr where model, adapter or a
prompt cannot be used; nothing is written then.
"""
from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Sequence

from lib.adapters import merge
from lib.models import LanguageModel, load_decoder
from lib.run.adapter_files import load_adapter
from lib.run.command import command, lines
from lib.run.host import Local
from lib.text.generation import _chat_prompts, _check_asked, stream
from lib.text.language import _ids


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the answer to each prompt; gives 0, or 2 and says why on stderr.

    Args:
        arguments: what would stand on the command line; what does stand there if not given.
    """
    parser = argparse.ArgumentParser("python -m lib.serve.write", description=str(__doc__).splitlines()[0])
    parser.add_argument("prompt", nargs="*", help="prompts; without one, each line of stdin is a prompt")
    parser.add_argument("--model", default="smollm2", help="a name or folder that lib.models.load_decoder knows")
    parser.add_argument("--adapter", metavar="FOLDER", help="what save_adapter or peft wrote for this model")
    parser.add_argument("--system", metavar="TEXT", help="the system's turn before each prompt, if not the template's")
    parser.add_argument("--tokens", type=int, default=256, metavar="N", help="most tokens of an answer")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 writes the likeliest token")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="chooses what is drawn above temperature 0")
    asked = parser.parse_args(arguments)
    return command(parser.prog, functools.partial(_write, asked))


def _write(asked: argparse.Namespace) -> None:
    """Look at everything that is asked, then answer."""
    texts = asked.prompt or lines()
    with contextlib.redirect_stdout(sys.stderr):  # the first use of a model says what it fetches
        model = _loaded(asked.model, asked.adapter)
    prompts = _chat_prompts(model.tokenizer, texts, asked.system)
    numbers = {"max_new_tokens": asked.tokens, "temperature": asked.temperature, "seed": asked.seed}
    _check_asked(model, [_ids(model.tokenizer, prompt) for prompt in prompts], **numbers)
    for i, prompt in enumerate(prompts):
        print(end="\n" if i else "")
        for piece in stream(model, prompt, **numbers):
            print(piece, end="", flush=True)
        print()


def _loaded(name: str, adapter: str | None) -> LanguageModel:
    """The model, with the adapter merged into it, so that each token costs what it costs without."""
    model = load_decoder(name)
    if adapter is not None:
        load_adapter(model, adapter, base=model.sha256)
        merge(model)
    return model.to(Local().device)


if __name__ == "__main__":
    sys.exit(main())
