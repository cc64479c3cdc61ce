"""What runs on a GPU keeps to it, on the stand-in of `tests.lib.card`: the library, and what the chapters place."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.adapters import LoRA, attach
from lib.names import ends_in
from lib.regularizers import ewc, fisher, snapshot
from lib.run.host import Local
from tests.lib.card import Card, card
from tools.notebooks import ROOT, chapters, read


class Head(nn.Module):
    """Two logits of four numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(8.0).reshape(2, 4) / 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T


def test_the_stand_in_computes_as_the_cpu_does() -> None:
    def trained() -> float:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to(Local().device)
        x, y = torch.randn(6, 4).to(Local().device), torch.arange(6, device=Local().device) % 2
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        return float(F.cross_entropy(model(x), y))

    with card():
        assert Local().device.type == "cuda"
        there = trained()
    assert there == trained()


def test_the_stand_in_refuses_what_a_gpu_refuses() -> None:
    with card():
        x = torch.ones(3).to(Local().device)
        assert isinstance(x, Card) and (x + 1.0).tolist() == [2.0, 2.0, 2.0]
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="generator"):
            nn.init.uniform_(x, generator=torch.Generator())
        with pytest.raises(TypeError, match="numpy"):
            x.numpy()
        assert (x.cpu() + torch.ones(3)).tolist() == [2.0, 2.0, 2.0]
        assert (x * 3)[[0, 2]].tolist() == [3.0, 3.0]


def test_the_stand_in_attends_as_the_cpu_does() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 5, 8).unbind()
    seen = torch.ones(5, 5, dtype=torch.bool).tril()
    with card():
        Q, K, V, mask = (x.to(Local().device) for x in (q, k, v, seen))
        there = [F.scaled_dot_product_attention(Q, K, V, is_causal=True).cpu(),
                 F.scaled_dot_product_attention(Q, K, V, attn_mask=mask).cpu()]
    for found in there:
        torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, is_causal=True))


def test_fisher_and_ewc_keep_to_the_device_of_the_model() -> None:
    rows = [{"x": torch.tensor([[1.0, 2, 3, 4]]), "labels": torch.tensor([0])}]
    expected = fisher(Head(), rows)["weight"]
    with card():
        model = Head().to(Local().device)
        matters = fisher(model, rows)
        assert isinstance(matters["weight"], Card)
        assert ewc(snapshot(model), matters, 1.0)(model).item() == 0
    torch.testing.assert_close(matters["weight"].cpu(), expected)


def test_an_adapter_is_drawn_on_the_cpu_and_lies_where_its_weight_does() -> None:
    def drawn() -> torch.Tensor:
        layer = nn.Sequential(nn.Linear(4, 3)).to(Local().device)
        attach(layer, ends_in("0"), lambda W: LoRA(W, rank=2, alpha=2, generator=torch.Generator().manual_seed(1)))
        return next(m for m in layer.modules() if isinstance(m, LoRA)).A.detach()

    with card():
        there = drawn()
        assert isinstance(there, Card)
    assert torch.equal(there.cpu(), drawn())


LOADED = re.compile(r"\bload_(?:de|en)coder\(")
PLACED = re.compile(r"\.to\((?:Local\(\)\.device|device)\)")
KEEPS = re.compile(r"\b(?:forgetting|fisher)\(")  # what keeps something of the model where it was when asked


@pytest.mark.parametrize("path", chapters(ROOT), ids=lambda path: path.stem)
def test_a_chapter_that_gauges_its_model_places_it_first(path: Path) -> None:
    cells = {cell.id: cell.source for cell in read(path).cells if cell.cell_type == "code"}
    keep = {name: source for name, source in cells.items() if KEEPS.search(source)}
    if not all(LOADED.search(source) for source in keep.values()):
        keep = cells  # a model that is kept may come from any cell
    asked = "".join(keep.values())
    keep |= {name: source for name, source in cells.items()  # and from what a cell calls
             if any(f"{each}(" in asked for each in re.findall(r"^def (\w+)", source, re.MULTILINE))}
    assert [name for name, source in keep.items() if len(LOADED.findall(source)) > len(PLACED.findall(source))] == []
