"""A decoder small enough for exact checks, with what makes real ones treacherous: tied words, a padding that ends."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lib.text.conversations import Tokens

WORDS = ("good bad fine poor film book the a was it is not very what says who yes no one two "
         "system user assistant").split()
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
    "{{ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, ChatML as SmolLM2 has it: the padding is the end of a turn."""
    special = ["<|unk|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {word: i for i, word in enumerate([*special, "\n", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split("\n", "isolated")])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<|unk|>", bos_token="<|im_start|>",
                                   eos_token="<|im_end|>", pad_token="<|im_end|>", model_max_length=64)
    fast.chat_template = TEMPLATE
    return fast


def tiny_llama(layers: int = 3, **changes: Any) -> LlamaForCausalLM:
    """A random Llama of width 32 whose word embedding is its head as well."""
    torch.manual_seed(5)
    config = LlamaConfig(**{
        "vocab_size": len(WORDS) + 4, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, **changes})
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # far enough from zero that answers differ
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def tiny_tokens(ids: list[list[int]], starts: Sequence[int], pad: int = 0) -> Tokens:
    """Rows of a language model, each learned from its place in `starts` on."""
    return Tokens(ids, [[t >= start for t in range(len(row))] for row, start in zip(ids, starts, strict=True)], pad)
