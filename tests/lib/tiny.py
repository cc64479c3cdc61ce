"""Models small enough for exact mathematics, which take and return what the book's models do."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Tiny(nn.Module):
    """Mean of word vectors, dropout, tanh, linear: about 40 parameters, smooth, float64."""

    def __init__(self, outputs: int = 3, p: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embedding, self.dropout = nn.Embedding(7, 3), nn.Dropout(p)
        self.hidden, self.head = nn.Linear(3, 3), nn.Linear(3, outputs)
        self.double()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                inputs_embeds: Tensor | None = None) -> Tensor:
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        x = (x * attention_mask[..., None]).sum(1) / attention_mask.sum(1, keepdim=True)
        return self.head(self.hidden(self.dropout(x)).tanh())


def tiny_batch(labels: list | None = None) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
    return {"input_ids": torch.randint(7, (5, 4), generator=generator), "attention_mask": mask,
            "labels": torch.tensor([0, 1, 2, 1, 0] if labels is None else labels)}


class Bound(nn.Module):
    """`model` as a function of its parameters' values, for gradcheck."""

    def __init__(self, model: nn.Module, values: dict[str, Tensor]) -> None:
        super().__init__()
        self.inner, self.values = [model], values
        self.train(model.training)

    def get_input_embeddings(self):
        return lambda ids: F.embedding(ids, self.values["embedding.weight"])

    def forward(self, **inputs: Tensor) -> Tensor:
        return torch.func.functional_call(self.inner[0], self.values, (), inputs)


class TinyBert(nn.Module):
    """A two-layer random BERT of width 32 and a linear head."""

    def __init__(self, outputs: int = 2, p: float = 0.1) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        torch.manual_seed(3)
        self.encoder = BertModel(BertConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
            hidden_dropout_prob=p, attention_probs_dropout_prob=p), add_pooling_layer=False)
        self.head = nn.Linear(32, outputs)
        with torch.no_grad():  # random biases too, so that a lost bias shows
            for parameter in self.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
                inputs_embeds: Tensor | None = None) -> Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds)
        return self.head(hidden.last_hidden_state[:, 0])


def bert_batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    mask = torch.ones(6, 9, dtype=torch.long)
    mask[::2, 6:] = 0
    return {"input_ids": torch.randint(50, (6, 9), generator=generator), "attention_mask": mask,
            "labels": torch.tensor([0, 1, 1, 0, 1, 0])}
