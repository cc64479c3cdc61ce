"""What a tokenizer's chat template writes: conversations, where answers stand in them, and the marks around turns.

A template (Jinja, in the tokenizer's files) turns messages into the one text that a chat model was trained on.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jinja2 import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]
"""One turn: its "role" is "system", "user" or "assistant", its "content" a text."""


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The tokens of a `tokenizer` that stand for no text, such as the ends of turns."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*added, *tokenizer.all_special_tokens})


def render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, prompt: bool = False) -> str:
    """The text that the chat template of a `tokenizer` makes of `messages`.

    Args:
        tokenizer: with a chat template.
        messages: turns, one or more.
        prompt: go on to where the assistant's answer begins, the prompt that a model is given.

    Raises:
        ValueError: there is no template, or it refuses the messages.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError(f"tokenizer must have a chat template, got none in {type(tokenizer).__name__}; set "
                         "tokenizer.chat_template, or use plain text with chat=False")
    try:
        return str(tokenizer.apply_chat_template([dict(turn) for turn in messages], tokenize=False,
                                                 add_generation_prompt=prompt))
    except TemplateError as error:
        said = ", ".join(turn["role"] for turn in messages)
        raise ValueError(f"the chat template must take the turns {said}, got its error: {error}") from None


def answers(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    """A conversation's text, and the places in it, start and stop, of each answer with the token that ends it.

    An answer starts where the prompt rendered before it stops, so that a model is trained on what it will
    be given.

    Args:
        tokenizer: with a chat template.
        messages: turns, at least one of them the assistant's.

    Raises:
        ValueError: no template, or one that refuses the messages, changes turns when others follow, changes an answer
            by more than outer white space, or does not end it with a special token.
    """
    text, special, places = render(tokenizer, messages), special_tokens(tokenizer), []
    for i, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before, answer = render(tokenizer, messages[:i], prompt=True), turn["content"].strip()
        at = text.find(answer, len(before))
        if not text.startswith(before) or at < 0 or text[len(before):at].strip():
            raise ValueError("the chat template must write turns the same whatever follows, and answers as they are, "
                             f"got {text!r} after {before!r}")
        rest = text[at + len(answer):]
        end = next((token for token in special if rest.lstrip().startswith(token)), None)
        if end is None:
            raise ValueError(f"the chat template must end an answer with a special token, got {rest[:20]!r} after it")
        places.append((len(before), len(text) - len(rest) + rest.index(end) + len(end)))
    return text, places


@dataclass(frozen=True)
class Marks:
    """What a chat template writes around turns, white space and the beginning of the text left out.

    Args:
        answer: before the assistant's, "<|im_start|>assistant" in ChatML.
        user: before the user's.
        system: before the system's; "" where it has no turn.
        end: the token after the assistant's, "<|im_end|>".
        closed: whether the user's turns close with it, too.
        bos: the beginning that is left out; "" where it opens turns.
    """

    answer: str
    user: str
    system: str
    end: str
    closed: bool
    bos: str

    def read(self, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
        """The text of `ids` as these marks are written, by the `tokenizer` that made them."""
        text = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return "".join(str(text).replace(self.bos, "").split())


def marks(tokenizer: PreTrainedTokenizerBase) -> Marks:
    """The marks of a `tokenizer`'s chat template, seen in a conversation of four turns that it renders.

    Raises:
        ValueError: there is no template, or one that changes or reorders turns, or does not end an answer with a
            special token.
    """
    turns = [{"role": role, "content": f"§{i}§"} for i, role in enumerate(("user", "assistant") * 2)]
    text = render(tokenizer, turns)
    parts = re.fullmatch(r".*§0§(.*)§1§(.*)§2§.*§3§(.*)", text, re.DOTALL)
    if not parts:
        raise ValueError(f"the chat template must write turns as they are and in order, got {text!r}")
    answer, user, closing = parts.groups()
    end = min((token for token in special_tokens(tokenizer) if token in closing), key=closing.index, default=None)
    if end is None:
        raise ValueError(f"the chat template must end an answer with a special token, got {closing!r} after it")
    answer, user, system = answer.partition(end)[2] or answer, user.partition(end)[2] or user, ""
    try:
        system = render(tokenizer, [{"role": "system", "content": "§s§"}, *turns]).partition("§s§")[0]
    except ValueError:
        pass  # a template without system turns
    bos = tokenizer.bos_token or ""
    bos = "" if bos == end or bos in answer else bos
    draft = Marks(answer, user, system, end, closed=parts[1] != answer, bos=bos)
    answer, user, system = (draft.read(tokenizer, tokenizer.encode(header, add_special_tokens=False))
                            for header in (answer, user, system))
    return replace(draft, answer=answer, user=user, system=system)
