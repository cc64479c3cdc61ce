"""Projections of weights: onto low rank, onto what the data uses, onto few bits, off a property.

Features are projected by scikit-learn's own transformers, or by `Classifier(projection=k)`. A map of one weight W is a
parametrization, put on with `attach`; a change of shape is a module replacement, made by `factorize`; `merge` makes
plain weights of both.

Shapes: W is a weight as `nn.Linear` holds it, (m, n) for n inputs and m outputs; r is a rank; A is (r, n), B is (m, r).
"""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib import _check
from lib.loss import Penalty
from lib.names import Where, _matching, _unmapped


def truncate(W: Tensor, rank: int) -> Tensor:
    """The nearest matrix of rank at most `rank`, in Frobenius and spectral norm; a constant for autograd.

        W_r = sum_{i <= r} s_i u_i v_i^T        Eckart and Young 1936, theorem; Mirsky 1960 for other norms

    The r largest singular values stay, the others become zero. One wants it to see how much of a weight, or of what
    tuning changed in it, lies in few directions; `factorize` makes the layer smaller as well.

    Args:
        W: (m, n), any floating type; decomposed in at least float32.
        rank: 0 to $min(m, n)$.

    Raises:
        ValueError: W is not a matrix of floats, or the rank is out of range.
    """
    B, A = _thin_factors(W, _check_rank(rank, W, low=0))
    with torch.autocast(W.device.type, enabled=False):  # a product in bfloat16 would not be W_r
        return (B @ A).to(W.dtype)


def output_truncate(W: Tensor, C: Tensor, rank: int) -> Tensor:
    """The matrix of rank at most `rank` whose outputs on the data are nearest to those of W; a constant for autograd.

        argmin_{rank W' <= r} E |W x - W' x|^2 = Q Q^T W,   Q the top r eigenvectors of W C W^T,   C = E x x^T

    What is left over is $sum_{i > r} s_i^2$ of $W C^{1/2}$, by Eckart and Young 1936: no inverse is taken, so any C
    will do, a singular one too. `truncate` keeps what W stretches most; this keeps what W makes of the inputs that
    occur, which costs a trained model far less. The texts that C is from are part of the method.

    Source: Wang et al. 2024 (SVD-LLM), whose route by Cholesky factors gives the same matrix.

    Args:
        W: (m, n), any floating type; decomposed in at least float32.
        C: (n, n), symmetric, `input_covariance` of the layer.
        rank: 0 to $min(m, n)$.

    Raises:
        ValueError: W is not a matrix of floats, C is of another shape, or the rank is out of range.
    """
    _check_rank(rank, W, low=0)
    if C.shape != (W.shape[1], W.shape[1]):
        raise ValueError(f"C must have shape {(W.shape[1], W.shape[1])}, got {tuple(C.shape)}")
    with torch.autocast(W.device.type, enabled=False), torch.no_grad():
        M = _at_least_fp32(W)
        Q = torch.linalg.eigh(M @ C.to(M) @ M.T).eigenvectors.flip(1)[:, :rank]  # the largest first
        return (Q @ (Q.T @ M)).to(W.dtype)


def intruders(W: Tensor, known: Tensor, *, count: int = 10, below: float = 0.5) -> Tensor:
    """The first left singular vectors of a tuned weight that are like none it had before: (m, k), k at most `count`.

        u_i,   i <= count,   with   max_j |u_i^T u0_j| < below        Shuttleworth et al. 2024, algorithm 1

    They have been read as the mark that low-rank tuning leaves, and as what makes it forget. One wants them to see
    whether an update shows among the largest directions of a weight at all; what they cause has to be tested against
    an equal cut elsewhere.

    Args:
        W: (m, n), tuned.
        known: (m, j), left singular vectors of the weight before, those of the thin SVD:
            `torch.linalg.svd(W0, full_matrices=False).U`. The full one adds directions that W0 never wrote to.
        count: 1 to $min(m, n)$.
        below: a cosine, above 0 and at most 1.

    Raises:
        ValueError: W is not a matrix of floats, `known` has other rows, or a number is out of range.
    """
    _check_rank(0, W, low=0)
    _check.whole(1, min(W.shape), count=count)
    if known.ndim != 2 or len(known) != len(W):
        raise ValueError(f"known must have {len(W)} rows, got shape {tuple(known.shape)}")
    if not 0 < below <= 1:
        raise ValueError(f"below must be above 0 and at most 1, got {below}")
    with torch.autocast(W.device.type, enabled=False), torch.no_grad():
        M = _at_least_fp32(W)
        wide = M if M.shape[0] <= M.shape[1] else M.T
        U = torch.linalg.eigh(wide @ wide.T).eigenvectors.flip(1)[:, :count]  # of the smaller side; an SVD is slower
        U = U if wide is M else F.normalize(M @ U, dim=0)
        return U[:, (U.T @ known.to(U)).abs().amax(1) < below]


def round_q4_1(W: Tensor, like: Tensor | None = None) -> Tensor:
    """W on 16 levels for each block of 32 inputs of a row, (m, n): 5 bits a weight; a constant for autograd.

        W -> m + d * clamp(floor((W - m) / d + 1/2), 0, 15),   m = min,   d = (max - min) / 15   of each block

    It is what storing a weight as `Q4_1` does to it, with d and m in float16. A weight that has been stored that way
    stays as it is. One wants it to see what of an update survives: less than half a level is lost.

    Source: Gerganov and others 2023, the reference code of ggml.

    Args:
        W: (m, n), n a multiple of 32.
        like: (m, n), the weight whose levels are taken, such as the base; W's own if not given.

    Raises:
        ValueError: W is not a matrix of floats, its rows are no whole blocks, or `like` is of another shape.
    """
    _check_rank(0, W, low=0)
    if W.shape[1] % 32:
        raise ValueError(f"W must have a multiple of 32 columns, got {W.shape[1]}")
    if like is not None and like.shape != W.shape:
        raise ValueError(f"like must have shape {tuple(W.shape)}, got {tuple(like.shape)}")
    with torch.no_grad():
        blocks, of = ((W if M is None else M).float().unflatten(1, (-1, 32)) for M in (W, like))
        m, top = of.aminmax(dim=-1, keepdim=True)
        d = (top - m) / 15
        q = ((blocks - m) * torch.where(d > 0, 1 / d, 0.0) + 0.5).floor().clamp(0, 15)
        return (d.half().float() * q + m.half().float()).flatten(1).to(W.dtype)


def leace(X: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    """The least change of features after which no linear classifier tells what Z says: P, (n, n), and the mean, (n,).

        x -> x - P (x - mean),   P = S^{1/2} U U^T S^{-1/2},   U the left singular vectors of S^{-1/2} Cov(x, z)

    S is the covariance of x, its inverse root the pseudo-inverse. Afterwards x and z are uncorrelated, which is so
    exactly where no linear classifier beats a constant one, and of all affine maps that reach it this one moves x
    least. One wants it to take a property out of vectors, or to see whether a model uses it. What is not linear it
    leaves there.

    Source: Belrose et al. 2023, theorems 3.1 and 4.3.

    Args:
        X: (N, n), features, one row an example, float64 for exactness.
        Z: (N, k), the property: one-hot classes or numbers.

    Raises:
        ValueError: X and Z are not two matrices of as many rows.
    """
    if X.ndim != 2 or Z.ndim != 2 or len(X) != len(Z) or not len(X):
        raise ValueError(f"X and Z must be matrices of as many rows, got {tuple(X.shape)} and {tuple(Z.shape)}")
    mean, Z = X.mean(0), Z.to(X)
    S = (X - mean).T @ (X - mean) / len(X)
    values, V = torch.linalg.eigh(S)
    there = values > values[-1] * len(S) * torch.finfo(X.dtype).eps
    V, root = V[:, there], values[there].sqrt()
    U, s, _ = torch.linalg.svd((V / root) @ V.T @ ((X - mean).T @ (Z - Z.mean(0)) / len(X)), full_matrices=False)
    U = U[:, s > s[0] * 1e-6] if s[0] > 0 else U[:, :0]
    return (V * root) @ V.T @ U @ U.T @ (V / root) @ V.T, mean


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
        where: names of the `nn.Linear` modules whose weights, maps included, are penalised.
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

    It replaces W, where LoRA corrects it: the layer has $r (m + n)$ weights and products in place of $m n$, in training
    and in inference. What W held beyond rank r is lost, and tuning afterwards has to make up for it.

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

    The model becomes smaller and faster, and less accurate until it is tuned again. One wants it where inference has to
    be cheaper; to make only training cheaper, LoRA keeps W.

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


def _check_rank(rank: int, W: Tensor, *, low: int = 1, high: int | None = None, name: str = "") -> int:
    """The rank, if W is a matrix that allows it."""
    if not (isinstance(W, Tensor) and W.ndim == 2 and W.is_floating_point()):
        found = f"shape {tuple(W.shape)}, {W.dtype}" if isinstance(W, Tensor) else type(W).__name__
        raise ValueError(f"W must be a matrix of floats, got {found}")
    label = f"rank for {name}" if name else "rank"
    _check.whole(low, min(W.shape) if high is None else high, **{label: rank})
    return rank
