"""Projections of weights: onto low rank, onto a thin correction, onto a random subspace, onto a ball.

Features are projected by scikit-learn's own transformers, or by `Classifier(projection=k)`. A map of one weight W is a
parametrization, put on with `attach`; a change of shape is a module replacement, made by `factorize`; `merge` makes
plain weights of both.

Shapes: W is a weight as `nn.Linear` holds it, (m, n) for n inputs and m outputs; r is a rank; A is (r, n), B is (m, r).
"""
from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lib import _check
from lib.loss import Penalty

Where = Callable[[str], bool]
"""Whether a dotted name is meant, e.g. "encoder.layer.0.attention.self.query" of a layer; `ends_in` makes one."""


def ends_in(*suffixes: str) -> Where:
    """Predicate: the dotted name ends in one of `suffixes`, whole components only.

    `ends_in("query")` is true of "self.query" and "query", not of "subquery" or "query.bias".

    Raises:
        ValueError: no suffix, or an empty one.
    """
    if not suffixes or not all(isinstance(suffix, str) and suffix for suffix in suffixes):
        raise ValueError(f"suffixes must be one or more non-empty names, got {suffixes}")
    return lambda name: any(f".{name}".endswith(f".{suffix}") for suffix in suffixes)


def truncate(W: Tensor, rank: int) -> Tensor:
    """The nearest matrix of rank at most `rank`, in Frobenius and spectral norm; a constant for autograd.

        W_r = sum_{i <= r} s_i u_i v_i^T        Eckart and Young 1936, theorem; Mirsky 1960 for other norms

    Args:
        W: (m, n), any floating type; decomposed in at least float32.
        rank: 0 to $min(m, n)$.

    Raises:
        ValueError: W is not a matrix of floats, or the rank is out of range.
    """
    B, A = _thin_factors(W, _check_rank(rank, W, low=0))
    with torch.autocast(W.device.type, enabled=False):  # a product in bfloat16 would not be W_r
        return (B @ A).to(W.dtype)


def tail_energy(W: Tensor, rank: int) -> Tensor:
    """What the best rank-r approximation leaves over: a scalar, in squared units of W.

        min_{U, V} |U V^T - W|_F^2 = sum_{i > r} s_i^2        Eckart and Young 1936

    Args:
        W: (m, n).
        rank: 0 to $min(m, n)$; at the top the tail is empty and its energy zero.

    Raises:
        ValueError: W is not a matrix of floats, or the rank is out of range.
    """
    _check_rank(rank, W, low=0)
    return torch.linalg.svdvals(_at_least_fp32(W))[rank:].square().sum()


def tail_penalty(where: Where, rank: int, strength: float, start: Mapping[str, Tensor] | None = None) -> Penalty:
    """A soft limit on rank: the factorisation term of the source's total objective, minimised over its factors.

        strength/2 * sum_W |D - D_r|_F^2,   D = W, or W - W0 where `start` is given;   gradient: strength * (D - D_r)

    Source: Eckart and Young 1936 for the value, Danskin 1967 for the gradient: $D_r$ is held constant, which is
    exact where $s_r > s_{r+1}$ and never meets the derivative of a decomposition, which divides by gaps between
    singular values.

    Args:
        where: names of the `nn.Linear` modules whose weights, maps included, are charged.
        rank: at least 0 (then it is L2), at most $min(m, n) - 1$ of every weight.
        strength: at least 0; a gradient step of size $eta$ contracts the tail for $eta * strength < 1$.
        start: W0 under the weight's name in the model that is trained; `snapshot` of that model makes one. A
            `Classifier` calls it "encoder.encoder.layer.0.attention.self.query.weight", its `model.encoder` leaves out
            the first "encoder."

    Returns:
        `penalty(model) -> scalar`.

    Raises:
        ValueError: negative strength; when called: nothing matches, none of the weights trains, one is not in `start`,
            a rank that leaves no tail.
    """
    _check.at_least(0, strength=strength)

    def penalty(model: nn.Module) -> Tensor:
        tails = []
        for name, linear in _matching(model, where):
            if start is not None and f"{name}.weight" not in start:
                raise ValueError(f"start must hold {name}.weight, got {sorted(start)[:3]}...")
            D = linear.weight if start is None else linear.weight - start[f"{name}.weight"].to(linear.weight)
            _check_rank(rank, D, low=0, high=min(D.shape) - 1, name=name)
            tails.append((D - _top(D, rank)).square().sum())
        if torch.is_grad_enabled() and not any(tail.requires_grad for tail in tails):
            raise ValueError(f"where must match a weight that trains, {name} and {len(tails) - 1} more do not")
        return strength / 2 * torch.stack(tails).sum()

    return penalty


def tail_prox(W: Tensor, rank: int, step: float, strength: float) -> Tensor:
    """Proximal step of the tail penalty, (m, n): keeps the first r singular values and shrinks the others.

        argmin_X |X - W|_F^2 / (2 step) + strength/2 sum_{i>r} s_i(X)^2 = W_r + (W - W_r) / (1 + step * strength)

    Source: Parikh and Boyd 2014, section 6.7, on convex spectral functions; this one is not convex, and von Neumann's
    trace inequality gives the minimum, the only one where $s_r > s_{r+1}$. It never enlarges the tail.

    Args:
        W: (m, n).
        rank: 0 to $min(m, n)$.
        step: step size, at least 0.
        strength: at least 0.

    Raises:
        ValueError: a number out of range.
    """
    _check.at_least(0, step=step, strength=strength)
    W_r = truncate(W, rank)
    return W_r + (W - W_r) / (1 + step * strength)


class Thin(nn.Module):
    """A linear layer of rank r as two thin ones, started at the truncated SVD and balanced.

        y = B (A x) + b,   B = U_r S_r^{1/2},   A = S_r^{1/2} V_r^T        Denton et al. 2014

    Args:
        linear: the layer to replace; its bias is taken over as it is.
        rank: 1 to $min(m, n)$. There are fewer weights than before where $r < m n / (m + n)$.

    Raises:
        ValueError: the rank is out of range.
    """

    scale = 1.0

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        B, A = _thin_factors(linear.weight, _check_rank(rank, linear.weight))
        trains, self.bias = linear.weight.requires_grad, linear.bias
        self.A = nn.Parameter(A.to(linear.weight.dtype), requires_grad=trains)
        self.B = nn.Parameter(B.to(linear.weight.dtype), requires_grad=trains)

    @property
    def weight(self) -> Tensor:
        """B A, (m, n)."""
        return self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.A), self.B, self.bias)  # (..., n) -> (..., r) -> (..., m)


def factorize(model: nn.Module, where: Where, rank: int) -> list[str]:
    """Replace linear layers by their truncated SVD, two thin layers each; returns their names.

        W -> W_r = B A        Denton et al. 2014

    Args:
        model: altered in place; an optimizer made before does not know the new weights.
        where: names of `nn.Linear` modules.
        rank: 1 to $min(m, n)$ of every one of them.

    Raises:
        ValueError: nothing matches, a layer carries a map, or the rank is out of range; the model is then untouched.
    """
    thin = [(name, Thin(linear, rank)) for name, linear in _unmapped(model, where)]
    for name, module in thin:
        model.set_submodule(name, module)
    return [name for name, _ in thin]


class Rows(nn.Module):
    """An embedding of which only the rows that a run reads train; the others are constants.

        e(t) = R[place(t)] where t is one of the k rows, else W[t];   W: (words, n), frozen;   R: (k, n)

    A row that no text reads gets no gradient, so without weight decay Adam leaves it where it is: training R alone ends
    at the same weights, up to the rounding of the clipped norm, and spares the optimizer $(words - k) n$ numbers.

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


class LoRA(nn.Module):
    """A thin correction of a frozen weight.

        W -> W + s B A,   s = alpha / r,   or alpha / sqrt(r) if stabilized        Hu et al. 2022, eq. 3 and section 4.1

    Source of the second scale: Kalajdzievski 2023.

    Args:
        weight: (m, n), the weight to correct; only its shape and type are used.
        rank: 1 to $min(m, n)$.
        alpha: above 0.
        stabilized: divide by $sqrt(r)$ in place of $r$, so that steps keep their size when the rank grows.
        generator: draws A; torch's global generator if not given. B starts at zero, so W is unchanged at first.

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
            return W + self.scale * self.B @ self.A

    def _linear(self, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        """The layer in training, (..., n) -> (..., m): W x + b + s B (A x), so that no gradient is (m, n)."""
        return F.linear(x, W, bias) + self.scale * F.linear(F.linear(x, self.A), self.B)


class DoRA(LoRA):
    """LoRA that learns length and direction apart.

        W -> M * V / |V|,   V = W + s B A,   M_i is the length of row i        Liu et al. 2024, eq. 5

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
        B, A = _thin_factors(weight, rank)
        for name, factor in (("A", A), ("B", B)):
            factor = (factor / self.scale**0.5).to(weight.dtype)
            setattr(self, name, nn.Parameter(factor))
            self.register_buffer(f"{name}0", factor.clone())

    def forward(self, W: Tensor) -> Tensor:
        with torch.autocast(W.device.type, enabled=False):
            return W + self.scale * (self.B @ self.A - self.B0 @ self.A0)

    def _linear(self, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        with torch.autocast(W.device.type, enabled=False):
            rest = W - self.scale * self.B0 @ self.A0
        return super()._linear(x, rest, bias)


class RandomSubspace(nn.Module):
    """All mapped weights move in one random subspace; the smallest d that suffices is the intrinsic dimension.

        theta -> theta + P z,   one entry +-sqrt(d / N) in each row of P

    P is (N, d) for a weight of $N = m n$ numbers, and $|P z|$ about $|z|$.

    Source: Li et al. 2018 (intrinsic dimension), section 2, where P is dense, sparse or Fastfood. Ours is a count
    sketch (Charikar et al. 2002): it costs one integer a number of the weight and no product.

    Args:
        weight: (m, n).
        z: (d,), shared: pass the same `nn.Parameter(torch.zeros(d))` for every weight; d is 1 to $m n$.
        generator: draws P; torch's global generator if not given.

    Raises:
        ValueError: z is not a vector, or has more numbers than the weight.
        TypeError: z is no `nn.Parameter`: nothing of the map would train.
    """

    index: Tensor

    def __init__(self, weight: Tensor, z: nn.Parameter, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not isinstance(z, nn.Parameter):
            raise TypeError(f"z must be an nn.Parameter, got {type(z).__name__}")
        if z.ndim != 1 or not 1 <= len(z) <= weight.numel():
            raise ValueError(f"z must be a vector of 1 to {weight.numel()} numbers, got shape {tuple(z.shape)}")
        self.z, self.scale = z, (len(z) / weight.numel()) ** 0.5
        index = torch.randint(2 * len(z), weight.shape, generator=generator, dtype=torch.int32)  # which of (z, -z)
        self.register_buffer("index", index.to(weight.device))

    def forward(self, W: Tensor) -> Tensor:
        signed = torch.cat((self.z, -self.z))
        return W + self.scale * signed.index_select(0, self.index.flatten()).view_as(W)


def attach(model: nn.Module, where: Where, make: Callable[[Tensor], nn.Module], *,
           train: Where | None = None) -> list[str]:
    """Put the map `make(weight)` on the weights of linear layers, and freeze what the map replaces.

        attach(model.encoder, ends_in("query", "value"), lambda W: LoRA(W, rank=8, alpha=16))

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


@torch.no_grad()
def project_ball(model: nn.Module, start: Mapping[str, Tensor], radius: float) -> None:
    """Bring the parameters named in `start` back into a ball around it, in place: a leash that binds.

        theta -> theta0 + (theta - theta0) * min(1, radius / |theta - theta0|)        e.g. Gouk et al. 2021

    The norm runs over all named tensors together (of one matrix: Frobenius). After every step of any torch optimizer:
    `optimizer.register_step_post_hook(lambda *_: project_ball(model, start, radius))`.

    Args:
        model: without a map on the weights named, which the ball could not reach: `merge` it first.
        start: theta0 by parameter name; `snapshot` makes one.
        radius: at least 0, in the units of the weights.

    Raises:
        ValueError: negative radius, or `start` is empty or names what is no parameter of the model.
    """
    _check.at_least(0, radius=radius)
    parameters = dict(model.named_parameters())
    strange = sorted(start.keys() - parameters.keys())
    strange += [name for name in start if name in parameters and start[name].shape != parameters[name].shape]
    if strange or not start:
        found = {name: tuple(start[name].shape) for name in strange[:3]}
        raise ValueError(f"start must name parameters of the model in their shapes, got {found}; merge maps first")
    moved = {name: parameters[name] - theta0.to(parameters[name]) for name, theta0 in start.items()}
    distance = torch.stack([change.norm() for change in moved.values()]).norm()
    if distance > radius:  # inside, not one bit moves
        for name, change in moved.items():
            parameters[name].copy_(start[name].to(change) + change * (radius / distance))


def _at_least_fp32(x: Tensor) -> Tensor:
    """x in float32 if it is narrower, for a decomposition: bfloat16 has none, and what is not finite neither."""
    if not x.isfinite().all():
        raise ValueError(f"W must be finite, got {x[~x.isfinite()][0].item()} in it")
    return x.to(torch.promote_types(x.dtype, torch.float32))


@torch.no_grad()
def _thin_factors(W: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(B, A) = (U_r S_r^{1/2}, S_r^{1/2} V_r^T), at least float32; B A = W_r."""
    U, S, Vh = torch.linalg.svd(_at_least_fp32(W), full_matrices=False)
    root = S[:rank].sqrt()
    return (U[:, :rank] * root).contiguous(), (root[:, None] * Vh[:rank]).contiguous()  # LAPACK's order is not torch's


@torch.no_grad()
def _top(W: Tensor, rank: int) -> Tensor:
    """W_r as Q Q^T W, Q from the small Gram matrix: 2 to 6 times as fast as the SVD, exact enough for a gradient."""
    with torch.autocast(W.device.type, enabled=False):
        M = _at_least_fp32(W if W.shape[0] <= W.shape[1] else W.T)
        Q = torch.linalg.eigh(M @ M.T).eigenvectors[:, len(M) - rank:]  # eigenvalues ascend
        M_r = (Q @ (Q.T @ M)).to(W.dtype)
    return M_r if W.shape[0] <= W.shape[1] else M_r.T


def _matching(model: nn.Module, where: Where) -> list[tuple[str, nn.Linear]]:
    """The linear layers whose names satisfy `where`; none is an error."""
    if not callable(where):
        raise ValueError(f'where must be a function of a name, such as ends_in("query"), got {where!r}')
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    hits = [(name, module) for name, module in linear if where(name)]
    if not hits:
        other = [f", but {name}, a {type(m).__name__}" for name, m in model.named_modules() if where(name)] or [""]
        raise ValueError(f"where must match an nn.Linear and matches none of {[name for name, _ in linear][:4]}..."
                         + other[0])
    return hits


def _unmapped(model: nn.Module, where: Where) -> list[tuple[str, nn.Linear]]:
    """`_matching`, and an error where one carries a map."""
    hits, taken = _matching(model, where), {name for name, _ in _mapped(model)}
    for name, _ in hits:
        if name in taken:
            raise ValueError(f"{name} already carries a map; merge or detach it first")
    return hits


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


def _mapped(model: nn.Module) -> list[tuple[str, Any]]:
    """The modules whose weight carries a map."""
    return [(name, module) for name, module in model.named_modules() if parametrize.is_parametrized(module, "weight")]


def _check_rank(rank: int, W: Tensor, *, low: int = 1, high: int | None = None, name: str = "") -> int:
    """The rank, if W is a matrix that allows it."""
    if not (isinstance(W, Tensor) and W.ndim == 2 and W.is_floating_point()):
        found = f"shape {tuple(W.shape)}, {W.dtype}" if isinstance(W, Tensor) else type(W).__name__
        raise ValueError(f"W must be a matrix of floats, got {found}")
    _check.whole(low, min(W.shape) if high is None else high, **{f"rank{name and f' for {name}'}": rank})
    return rank
