"""What goes is rebuilt from everything that stays: ordinary least squares on what a layer reads."""

from __future__ import annotations

import torch
from torch import Tensor

from prunevis.errors import NonFiniteError
from prunevis.pruning.repairs.base import REPAIRS, RepairContext
from prunevis.pruning.repairs.readers import Change, Reader, ReaderRepair

#: Added to the variance of each column, as a share of their mean: what is nearly collinear, dead or
#: seen by fewer examples than there are columns stays solvable, and weights stay small.
RIDGE = 1e-4
#: The same for the sweep over weights, as in SparseGPT.
DAMPING = 1e-2


@REPAIRS.register("least-squares")
class LeastSquares(ReaderRepair):
    """``V_S ← V_S + V_R Σ_RS (Σ_SS + λI)⁻¹``: what goes (R), regressed on what stays (S).

    ``Σ`` is the covariance of what the layer reads and λ = `RIDGE` × its mean diagonal; the
    intercept ``V_R (μ_R − Σ_RS (Σ_SS + λI)⁻¹ μ_S)`` goes into the bias. This is the least mean
    squared change of the layer's outputs (Luo et al. 2017; He, Zhang & Sun 2017); the ridge pulls
    towards the weights as they were, so nothing changes where nothing goes. Without a place for the
    intercept ``Σ`` is uncentred. A padded convolution is fitted with its border. Exact where what
    goes is a linear function of what stays.
    """

    label = "Least squares"
    summary = "The next layer is fitted anew, so that what stays rebuilds what goes."
    formula = "V_S ← V_S + V_R Σ_RS (Σ_SS + λI)⁻¹, intercept into the bias"
    source = "Luo et al. 2017 (ThiNet); He, Zhang & Sun 2017"
    url = "https://arxiv.org/abs/1707.06168"
    granularities = ("unit",)
    needs = frozenset({"inputs", "moments"})
    exact_for = frozenset({"dead", "constant", "duplicate"})

    def mend(self, reader: Reader, context: RepairContext) -> Change:
        """Fit the reader anew."""
        mean, goes, stays = reader.inputs.mean, reader.goes, reader.stays
        moment = reader.covariance() if reader.takes_constant else reader.moment()
        weight = reader.weight.clone()
        constant = torch.zeros(weight.shape[:2], dtype=torch.float64)
        for part in range(weight.shape[0]):
            lost = reader.weight[part][:, goes]
            share = lost @ projection(moment[part], goes, stays)
            weight[part][:, stays] += share
            constant[part] = lost @ mean[part, goes] - share @ mean[part, stays]
        few = reader.inputs.num_samples < len(stays)
        note = None
        if few:
            note = (
                f"{reader.inputs.num_samples:,} samples for {len(stays):,} columns: only the ridge "
                "makes it solvable, so more examples would help."
            )
        return Change(weight, constant if reader.takes_constant else None, note)


def projection(moment: Tensor, goes: Tensor, stays: Tensor, ridge: float = RIDGE) -> Tensor:
    """Return ``Σ_RS (Σ_SS + λI)⁻¹``: how columns that stay rebuild those that go.

    Parameters
    ----------
    moment
        float64 (columns, columns), symmetric, positive semi-definite.
    goes, stays
        int64: columns R and S.
    ridge
        λ as a share of the mean diagonal; it grows tenfold until the matrix can be factorised.

    Returns
    -------
    Tensor
        float64 (len(goes), len(stays)); zeros where nothing that stays varies.

    Raises
    ------
    NonFiniteError
        If a moment is NaN or infinite.
    """
    cross = moment[goes][:, stays]
    if not len(stays) or not len(goes):
        return cross
    if not bool(torch.isfinite(moment).all()):
        raise NonFiniteError("The moments of what the layer reads are not finite.")
    factor = factorised(moment[stays][:, stays], ridge, float(moment.diagonal().mean()))
    return torch.zeros_like(cross) if factor is None else torch.cholesky_solve(cross.T, factor).T


def factorised(matrix: Tensor, ridge: float, scale: float) -> Tensor | None:
    """Return the lower Cholesky factor of ``matrix + ridge · scale · I``; None if all is zero."""
    if not scale > 0:
        return None
    matrix = matrix.clone()
    diagonal = matrix.diagonal().clone()
    for step in range(12):
        matrix.diagonal().copy_(diagonal + ridge * scale * 10**step)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not int(failed):
            return factor
    return None


@REPAIRS.register("obs")
class ObsSweep(ReaderRepair):
    """Optimal Brain Surgeon in one sweep over the columns, as SparseGPT does it.

    With ``H = E[x xᵀ]`` damped by `DAMPING` × its mean diagonal, and ``U`` the upper Cholesky
    factor of ``H⁻¹``: for each column j in turn, ``e = w_masked / U_jj`` and
    ``W[:, j:] ← W[:, j:] − e U[j, j:]`` (Hassibi & Stork 1993; Frantar & Alistarh 2023). What is
    masked in a column is made good by the columns after it, for all rows at once.
    """

    label = "Optimal brain surgeon, one sweep"
    summary = "Weights that stay take over what those before them in the row have lost."
    formula = "W[:, j:] ← W[:, j:] − (w_masked / U_jj) U[j, j:],  UᵀU = (E[x xᵀ] + λI)⁻¹"
    source = "Frantar & Alistarh 2023 (SparseGPT); Hassibi & Stork 1993"
    url = "https://arxiv.org/abs/2301.00774"
    granularities = ("weight",)
    needs = frozenset({"inputs", "moments"})

    def mend(self, reader: Reader, context: RepairContext) -> Change:
        """Sweep over the columns of the reader."""
        moment = reader.covariance() if reader.takes_constant else reader.moment()
        weight = reader.weight.clone()
        for part in range(weight.shape[0]):
            weight[part] = obs_sweep(weight[part], reader.kept[part], moment[part])
        constant = None
        if reader.takes_constant:
            lack = reader.weight - weight
            constant = (lack @ reader.inputs.mean[:, :, None])[:, :, 0]
        return Change(weight, constant)


def obs_sweep(weight: Tensor, kept: Tensor, moment: Tensor, block: int = 128) -> Tensor:
    """Return `weight` with what is not `kept` made good by later columns.

    Parameters
    ----------
    weight
        float64 (rows, columns).
    kept
        bool, same shape.
    moment
        float64 (columns, columns): ``H``.
    block
        Columns whose effect on later blocks is summed up.

    Returns
    -------
    Tensor
        float64, zero where not `kept`; only masked if nothing that is read varies.
    """
    columns = weight.shape[1]
    lower = factorised(moment, DAMPING, float(moment.diagonal().mean()))
    if lower is None:
        return weight * kept
    upper = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
    weight = weight.clone()
    for start in range(0, columns, block):
        stop = min(start + block, columns)
        errors = torch.zeros(weight.shape[0], stop - start, dtype=weight.dtype)
        for j in range(start, stop):
            error = weight[:, j] * ~kept[:, j] / upper[j, j]
            weight[:, j:stop] -= torch.outer(error, upper[j, j:stop])
            errors[:, j - start] = error
        weight[:, stop:] -= errors @ upper[start:stop, stop:]
    return weight * kept
