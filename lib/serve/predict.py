"""A saved classifier on the command line: `python -m lib.serve.predict FOLDER "a text" ...`, or a text a line on stdin.

One line a text: label, its probability, the text, between tabs; in the text, white space as single blanks, and numbers
of characters that the terminal cannot show. Ends with 0, or with 2 and one line on stderr where the folder or a text
cannot be used.
"""
from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Sequence

from lib.models import load
from lib.run.command import command, lines
from lib.run.host import Local


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the label of each text; gives 0, or 2 and says why on stderr.

    Args:
        arguments: what would stand on the command line; what does stand there if not given.
    """
    parser = argparse.ArgumentParser("python -m lib.serve.predict", description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", help="what lib.models.save wrote")
    parser.add_argument("text", nargs="*", help="texts; without one, each line of stdin is a text")
    return command(parser.prog, functools.partial(_predict, parser.parse_args(arguments)))


def _predict(asked: argparse.Namespace) -> None:
    """Print the label of each text that is asked for."""
    texts = asked.text or lines()
    model = load(asked.folder).to(Local().device)
    with contextlib.redirect_stdout(sys.stderr):  # where a text is cut, `encode` says so
        rows = model.probabilities(texts)
    for text, row in zip(texts, rows, strict=True):
        print(model.labels[row.argmax()], f"{row.max():.3f}", " ".join(text.split()), sep="\t")


if __name__ == "__main__":
    sys.exit(main())
