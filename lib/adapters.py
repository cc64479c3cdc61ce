"""Maps of frozen weights: a few numbers train, the weight itself stays; attached, merged, taken off.

A map of one weight W is a parametrization, put on with `attach`; `merge` makes a plain weight of it again.

Shapes: W is a weight as `nn.Linear` holds it, (m, n) for n inputs and m outputs; r is a rank; A is (r, n), B is (m, r).
"""
from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lib import _check
from lib.names import Where, _mapped, _unmapped
from lib.projection import Thin, _at_least_fp32, _check_rank, _thin_factors


class Rows(nn.Module):
    """An embedding of which only the rows that a run reads train; the others are constants.

        e(t) = R[place(t)] where t is one of the k rows, else W[t];   W: (words, n), frozen;   R: (k, n)

    Rows that are never read get no gradient, so without weight decay Adam leaves them unchanged; training only the used
    rows gives the same weights, up to rounding in clipping, and saves the gradients and moments of $(words - k) n$
    numbers.

    Source: Kingma and Ba 2015, algorithm 1, where moments that are zero make a step of zero.

    Args:
        embedding: the table to replace.
        tokens: ids that train, in any order and as often as they come.

    Raises:
        ValueError: no id, or one that is not in the table; a table that changes as it is read, or counts its words.
    """

    table: Tensor
    rows: Tensor
    place: Tensor

    def __init__(self, embedding: nn.Embedding, tokens: Iterable[int]) -> None:
        super().__init__()
        if embedding.max_norm is not None or embedding.scale_grad_by_freq:
            raise ValueError(f"embedding must have neither max_norm nor scale_grad_by_freq, got {embedding}")
        W, self.padding = embedding.weight, embedding.padding_idx
        try:
            found = {operator.index(token) for token in tokens}  # a tensor's numbers, too
        except TypeError:
            raise ValueError(f"tokens must be ids, such as itertools.chain(*data.ids), got {tokens!r}") from None
        rows = sorted(found - {self.padding})  # torch gives the padding's row no gradient either
        if not rows or rows[0] < 0 or rows[-1] >= len(W):
            raise ValueError(f"tokens must be one or more ids from 0 to {len(W) - 1}, got {rows[:1]} to {rows[-1:]}")
        self.register_buffer("table", W.detach())
        self.register_buffer("rows", torch.tensor(rows, device=W.device))
        self.register_buffer("place", torch.full((len(W),), -1, device=W.device))
        self.place[self.rows] = torch.arange(len(rows), device=W.device)
        self.R = nn.Embedding.from_pretrained(self.table[self.rows], freeze=not W.requires_grad)

    def forward(self, tokens: Tensor) -> Tensor:
        place = self.place[tokens].unsqueeze(-1)
        R = self.R(place.squeeze(-1).clamp_min(0))
        return torch.where(place < 0, F.embedding(tokens, self.table), R)  # (...) -> (..., n)


def only_rows(model: nn.Module, tokens: Iterable[int]) -> int:
    """Train only the rows of the word embedding that `tokens` name, see `Rows`; `merge` puts them back.

    Use it before making the optimizer, e.g. with `itertools.chain(*data.ids)`. Weight decay or an L2 penalty would
    pull at the other rows too: with either, this changes the run.

    Args:
        model: altered in place; `model.get_input_embeddings()` is an `nn.Embedding`.
        tokens: ids of the training texts.

    Returns:
        How many rows train.

    Raises:
        ValueError: the embedding is replaced already or shares its weight with another layer, or an id is not in it.
    """
    table = model.get_input_embeddings()  # type: ignore[operator]
    if not isinstance(table, nn.Embedding):
        raise ValueError(f"the word embedding must be an nn.Embedding, got {type(table).__name__}; merge it first")
    name = next(name for name, module in model.named_modules() if module is table)
    _check_alone(model, name, table.weight)
    rows = Rows(table, tokens)
    model.set_submodule(name, rows)
    return len(rows.rows)


class _Frozen(torch.autograd.Function):
    """A linear layer of which the weight gets no gradient, (..., n) -> (..., m).

    Under autocast torch would keep a copy of each weight in bfloat16 for the backward pass, 200 MB of SmolLM2. This
    makes it again there, with the same bits.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(W)
        ctx.dtype = x.dtype
        return F.linear(x, W, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (W,), (g,) = ctx.saved_tensors, gradients
        return (g @ W.to(g.dtype)).to(ctx.dtype), None, None


def _frozen_linear(x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b; by `_Frozen` if nothing of it trains and W is the model's own: one made for this pass would be kept."""
    if not isinstance(W, nn.Parameter) or any(p is not None and p.requires_grad for p in (W, bias)):
        return F.linear(x, W, bias)
    return _Frozen.apply(x, W, bias)  # type: ignore[no-any-return]


class LoRA(nn.Module):
    """A low-rank correction B A beside a frozen weight W: only A and B train.

        W -> W + s B A,   s = alpha / r,   or alpha / sqrt(r) if stabilized        Hu et al. 2022, eq. 3 and section 4.1

    A layer trains $r (m + n)$ numbers instead of $m n$, and the optimizer keeps moments for these alone. B starts at
    zero, so training starts at the pretrained model; afterwards `merge` adds $s B A$ into W, and inference costs what
    it did before. One wants it where full fine-tuning does not fit into memory, or where many tasks share one base and
    each keeps a small file of its own. A higher rank can represent more; alpha scales the correction and so acts like a
    learning rate.

    Source of the second scale: Kalajdzievski 2023.

    Args:
        weight: (m, n), the weight to correct; only its shape and type are used.
        rank: 1 to $min(m, n)$.
        alpha: above 0.
        stabilized: divide by $sqrt(r)$ in place of $r$, so that steps keep their size when the rank grows.
        generator: draws A; torch's global generator if not given.

    Raises:
        ValueError: W is not a matrix, or a number is out of range.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, *, stabilized: bool = False,
                 generator: torch.Generator | None = None) -> None:
        super().__init__()
        _check_rank(rank, weight)
        _check.above_zero(alpha=alpha)
        self.scale = alpha / rank**0.5 if stabilized else alpha / rank
        A = torch.empty(rank, weight.shape[1])  # drawn on the CPU: one start on every device
        nn.init.kaiming_uniform_(A, a=5**0.5, generator=generator)  # as the authors' code; the paper says Gaussian
        self.A = nn.Parameter(A.to(weight))
        self.B = nn.Parameter(weight.new_zeros(weight.shape[0], rank))

    def forward(self, W: Tensor) -> Tensor:
        with torch.autocast(W.device.type, enabled=False):  # merged, it is added in the type of W as well
            return W + self.scale * self.B @ self._reads()

    def _linear(self, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        """The layer in training, (..., n) -> (..., m): W x + b + s B (A x), so that no gradient is (m, n)."""
        return _frozen_linear(x, W, bias) + F.linear(self.scale * F.linear(x, self._reads()), self.B)

    def _reads(self) -> Tensor:
        """A as it meets the input, (r, n)."""
        return self.A


class DoRA(LoRA):
    """LoRA that learns the length and the direction of each row of a weight separately.

        W -> M * V / |V|,   V = W + s B A,   M_i is the length of row i        Liu et al. 2024, eq. 5

    The low-rank correction turns the rows, and a vector M of m more numbers sets their lengths, as in weight
    normalisation. One wants it where LoRA at a low rank falls short of full fine-tuning; each training step costs more,
    since it computes the length of every row, and once merged it costs nothing either.

    A row holds the weights of one output; the paper says columns, its authors' code rows. $|V|$ is a constant for the
    gradient (section 4.3), so this is not the derivative of the formula. $M$ starts at $|W|$.

    Args:
        weight, rank, alpha, stabilized, generator: as in `LoRA`.

    Raises:
        ValueError: as in `LoRA`.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, *, stabilized: bool = False,
                 generator: torch.Generator | None = None) -> None:
        super().__init__(weight, rank, alpha, stabilized=stabilized, generator=generator)
        self.M = nn.Parameter(weight.detach().norm(dim=1))  # (m,)

    def forward(self, W: Tensor) -> Tensor:
        V = super().forward(W)
        return self._scales(V)[:, None] * V

    def _linear(self, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        y = self._scales(super().forward(W)) * super()._linear(x, W, None)
        return y if bias is None else y + bias

    def _scales(self, V: Tensor) -> Tensor:
        """M / |V|, (m,); a row of zeros stays one."""
        return self.M / V.detach().norm(dim=1).clamp_min(torch.finfo(V.dtype).tiny)


class PiSSA(LoRA):
    """LoRA that starts at the principal part of W and leaves the rest frozen.

        W -> (W - s B0 A0) + s B A,   s B0 A0 = W_r, split evenly        Meng et al. 2024, section 3

    A and B are the r largest singular directions of W, and the residual stays as it is. Neither factor starts at zero,
    so both get a gradient from the first step on, and the loss usually falls faster at first than with LoRA, at the
    price of one SVD a weight. One wants it for short runs; it shifts the base, so its file is a LoRA of twice the rank.

    Written as $W + s (B A - B0 A0)$, which leaves W's bits alone at the start.

    Args:
        weight, rank, alpha, stabilized: as in `LoRA`; nothing is drawn.

    Raises:
        ValueError: as in `LoRA`.
    """

    A0: Tensor
    B0: Tensor

    def __init__(self, weight: Tensor, rank: int, alpha: float, *, stabilized: bool = False) -> None:
        super().__init__(weight, rank, alpha, stabilized=stabilized)
        for name, factor in zip("BA", self._start(weight, rank), strict=True):
            factor = factor.to(weight.dtype).contiguous()
            setattr(self, name, nn.Parameter(factor))
            self.register_buffer(f"{name}0", factor.clone())

    def _start(self, weight: Tensor, rank: int) -> list[Tensor]:
        """B0, (m, r), and A0, (r, n)."""
        return [factor / self.scale**0.5 for factor in _thin_factors(weight, rank)]

    def forward(self, W: Tensor) -> Tensor:
        with torch.autocast(W.device.type, enabled=False):
            return W + self.scale * (self.B @ self.A - self.B0 @ self.A0)

    def _linear(self, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        with torch.autocast(W.device.type, enabled=False):
            rest = W - self.scale * self.B0 @ self.A0
        return super()._linear(x, rest, bias)


class LoRAGA(PiSSA):
    """LoRA that starts in the top directions of a first gradient G and leaves the rest of W frozen.

        W -> (W - s B0 A0) + s B A,   B0 = (u_{r+1} ... u_{2r}),   A0 = (v_1 ... v_r)^T   of   G = U S V^T

    The bands are disjoint, so that the first step of gradient descent, in the limit of small steps, moves W by
    $-eta s^2 (B0 B0^T G + G A0^T A0) = -eta s^2 G_{2r}$: no start of rank r comes nearer to the full gradient (Wang et
    al. 2024, theorem 3.1; theirs scales the factors once more). One wants it for short runs, at its own rate: at a rate
    shared with LoRA it mostly takes larger steps.

    Source: Wang et al. 2024 (LoRA-GA).

    Args:
        weight: as in `LoRA`; `weight.grad` holds G, from a backward pass over some batches.
        rank: 1 to $min(m, n) / 2$.
        alpha, stabilized: as in `LoRA`; nothing is drawn.

    Raises:
        ValueError: as in `LoRA`, or a weight without a gradient.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, *, stabilized: bool = False) -> None:
        super().__init__(weight, rank, alpha, stabilized=stabilized)

    def _start(self, weight: Tensor, rank: int) -> list[Tensor]:
        if weight.grad is None:
            raise ValueError("weight must hold its gradient in .grad, got none; call backward on a loss first")
        _check_rank(rank, weight, high=min(weight.shape) // 2)
        U, _, Vh = torch.linalg.svd(_at_least_fp32(weight.grad), full_matrices=False)
        return [U[:, rank:2 * rank], Vh[:rank]]


class NullLoRA(LoRA):
    """LoRA that cannot answer to inputs in a given space: what lies in it gives the outputs of the frozen weight.

        W -> W + s B A (I - U U^T),   so that the change times U is zero        as in Saha et al. 2021, eq. 6

    With U a basis of what old texts feed into the layer, the layer's outputs on them stay, whatever is learned and by
    whichever optimizer: the map is projected and not its gradient, which would not suffice under Adam. It holds for
    this layer alone; where layers below change, so do its inputs. One wants it to protect what a layer does on texts
    that one has at hand.

    Args:
        weight: as in `LoRA`.
        U: (n, k), orthonormal columns, k below n.
        rank, alpha, stabilized, generator: as in `LoRA`.

    Raises:
        ValueError: as in `LoRA`, or a U of another shape or not orthonormal.
    """

    U: Tensor

    def __init__(self, weight: Tensor, U: Tensor, rank: int, alpha: float, *, stabilized: bool = False,
                 generator: torch.Generator | None = None) -> None:
        super().__init__(weight, rank, alpha, stabilized=stabilized, generator=generator)
        if U.ndim != 2 or U.shape[0] != weight.shape[1] or U.shape[1] >= U.shape[0]:
            raise ValueError(f"U must have shape ({weight.shape[1]}, k) with k below {weight.shape[1]}, "
                             f"got {tuple(U.shape)}")
        if (off := (U.T @ U - torch.eye(U.shape[1]).to(U)).abs().max()) > 1e-3:
            raise ValueError(f"U must have orthonormal columns, got some that are {off:.1g} off")
        self.register_buffer("U", U.to(weight))

    def _reads(self) -> Tensor:
        return self.A - self.A @ self.U @ self.U.T


class GroupLoRA(LoRA):
    """LoRA that reads only sums over blocks of inputs, so that it merges into a base of few bits without rounding.

        W -> W + s B (A x 1^T),   A: (r, n / block),   1 the ones of a block        Xu et al. 2024 (QA-LoRA), section 3

    The change is the same number throughout a block of a row. Formats such as `Q4_1` hold a block as $d q + m$, and the
    number goes into m: d and q stay, bit for bit. One wants it where the merged model has to be of few bits again; it
    trains fewer numbers and can express less.

    Args:
        weight: as in `LoRA`, with n a multiple of the block.
        rank: 1 to $min(m, n / block)$.
        block: inputs that share a number, at least 1.
        alpha, stabilized, generator: as in `LoRA`.

    Raises:
        ValueError: as in `LoRA`, or a block that does not divide n.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, *, block: int = 32, stabilized: bool = False,
                 generator: torch.Generator | None = None) -> None:
        super().__init__(weight, rank, alpha, stabilized=stabilized, generator=generator)
        _check.whole(1, block=block)
        if weight.shape[1] % block:
            raise ValueError(f"block must divide the {weight.shape[1]} inputs, got {block}")
        _check_rank(rank, weight, high=min(len(weight), weight.shape[1] // block))
        self.block = block
        self.A = nn.Parameter(self.A.detach()[:, : weight.shape[1] // block].clone())  # as long, spread over a block

    def _reads(self) -> Tensor:
        return self.A.repeat_interleave(self.block, 1)


def attach(model: nn.Module, where: Where, make: Callable[[Tensor], nn.Module], *,
           train: Where | None = None) -> list[str]:
    """Put the map `make(weight)` on the weights of linear layers, and freeze what the map replaces.

        attach(model.encoder, ends_in("query", "value"), lambda W: LoRA(W, rank=8, alpha=16))

    From then on the layer computes its weight as `map(W)`, as torch's parametrizations do: the model's code, `fit` and
    the optimizer need not know of it. Attach before the optimizer is made, and `merge` at the end.

    A map with parameters of its own (LoRA, ...) freezes every other parameter of `model`, which is why it is given the
    encoder here: the head keeps training. A map without any (mixout) freezes nothing.

    Args:
        model: the module to alter in place; parameters outside it are left alone.
        where: names of `nn.Linear` modules in it.
        make: weight (m, n) -> module whose forward takes a weight to a weight of its shape.
        train: names of parameters that train beside the map's own, e.g. `ends_in("bias")`.

    Returns:
        Names of the layers that carry the map.

    Raises:
        ValueError: nothing matches, `make` gives no map of a weight to its like, a layer already carries a map or
            shares its weight with another, `train` matches nothing, or a map without parameters meets a frozen weight,
            where it would do nothing; the model is then untouched.
    """
    hits = _unmapped(model, where)
    for name, linear in hits:
        _check_alone(model, name, linear.weight)
    maps = [make(linear.weight) for _, linear in hits]
    if strange := [new for new in maps if not isinstance(new, nn.Module)]:
        raise ValueError(f"make must give a module, such as LoRA(W, rank=8, alpha=16), got {type(strange[0]).__name__}")
    with torch.no_grad(), torch.random.fork_rng():  # a map may draw
        for (_, linear), new in zip(hits, maps, strict=True):
            kept, bent = ((tuple(W.shape), W.dtype) for W in (linear.weight, new(linear.weight)))
            if bent != kept:
                raise ValueError(f"make must give a map that keeps the weight's shape and type {kept}, got {bent}")
    own = {id(p) for new in maps for p in new.parameters()}
    names = [name for name, _ in model.named_parameters() if train is not None and train(name)]
    if train is not None and not (own and names):
        raise ValueError("train must match a parameter, and the map must have parameters of its own; "
                         f"got {len(names)} matches and {len(own)} parameters in the map")
    frozen = [name for name, linear in hits if not own and not linear.weight.requires_grad]
    if frozen:
        raise ValueError(f"a map without parameters does nothing to a frozen weight, got {frozen[0]}; thaw it")
    if own:  # maps that are on other layers already keep training
        for name, p in model.named_parameters():
            p.requires_grad_(name in names or ".parametrizations." in name and p.requires_grad)
    for (_, linear), new in zip(hits, maps, strict=True):
        parametrize.register_parametrization(linear, "weight", new)
        if isinstance(new, LoRA):
            linear.forward = MethodType(_through_factors, linear)  # type: ignore[method-assign]
    return [name for name, _ in hits]


def merge(model: nn.Module) -> list[str]:
    """Make plain weights of every map, thin layer and `Rows`, e.g. before saving; returns their names.

    The model then has the layout that it had before `attach`: it is as fast, and every tool that reads such a model
    reads this one. What the map had learned apart from W is in W afterwards; to keep an adapter by itself, save it
    first.

    Maps give the same predictions bit for bit; thin layers up to rounding. A map is merged as it acts in evaluation,
    without noise. What `attach` froze stays frozen.

    Raises:
        ValueError: there is nothing to merge.
    """
    thin = [(name, module) for name, module in model.named_modules() if isinstance(module, Thin)]
    tables = [(name, module) for name, module in model.named_modules() if isinstance(module, Rows)]
    names = [name for name, _ in thin + tables] + [name for name, _ in _mapped(model)]
    if not names:
        raise ValueError("the model carries no map and no thin layer to merge")
    for name, rows in tables:
        R = rows.R.weight
        rows.table[rows.rows] = R.detach()
        model.set_submodule(name, nn.Embedding.from_pretrained(rows.table, not R.requires_grad, rows.padding))
    for name, module in thin:
        m, n = module.B.shape[0], module.A.shape[1]
        linear = nn.utils.skip_init(nn.Linear, n, m, bias=False, device=module.A.device, dtype=module.A.dtype)
        linear.weight = nn.Parameter(module.weight.detach(), requires_grad=module.A.requires_grad)
        linear.bias = module.bias
        model.set_submodule(name, linear)
    for _, linear in _mapped(model):
        linear.parametrizations.eval()  # else one draw of mixout's mask would become the weight
        _unmap(linear, keep=True)
    return names


def detach(model: nn.Module) -> list[str]:
    """Take every map off and put the weights under them back, bit for bit; returns the names of the layers.

    What `attach` froze stays frozen; a weight that trained under its map (mixout) keeps what it learned.

    Raises:
        ValueError: there is no map.
    """
    hits = _mapped(model)
    if not hits:
        raise ValueError("the model carries no map to detach")
    for _, linear in hits:
        _unmap(linear, keep=False)
    return [name for name, _ in hits]


def _check_alone(model: nn.Module, name: str, weight: Tensor) -> None:
    """Raise ValueError where another layer has the same weight, which merging would change there too."""
    others = [other for other, p in model.named_parameters(remove_duplicate=False)
              if p is weight and other != f"{name}.weight"]
    if others:
        raise ValueError(f"{name} must have a weight of its own, and shares it with {others[0]}")


def _through_factors(linear: Any, x: Tensor) -> Tensor:
    """The forward pass of a layer with LoRA: in evaluation that of the merged weight, to the bit."""
    weight = linear.parametrizations.weight
    if linear.training:
        return weight[0]._linear(x, weight.original, linear.bias)  # type: ignore[no-any-return]
    return F.linear(x, linear.weight, linear.bias)


def _unmap(linear: nn.Linear, *, keep: bool) -> None:
    """Make a plain layer of one with a map, with the weight that the map gives or the one under it."""
    parametrize.remove_parametrizations(linear, "weight", leave_parametrized=keep)
    vars(linear).pop("forward", None)
