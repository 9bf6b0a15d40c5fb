"""Which axis shrinks where units lie on several: heads or head dimensions, groups or positions.

A view may cut 768 units into 12 heads of 64 dimensions. What leaves must leave a full box behind,
so either whole heads leave or the same dimensions of every head. The axes of a product (its
*factors*) are followed like any others; here, at the end, one factor of each product is chosen that
nothing forbids, the units are tied along it, and the other factors stay whole.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from prunevis.graph.atoms import Atoms, Ids, Product

#: What leaves an attention layer: whole heads, or the same dimensions of every head.
Attention = Literal["heads", "dimensions"]

ATTENTIONS: tuple[Attention, ...] = ("heads", "dimensions")


class _Nodes:
    """Factors that must shrink together, by union of the labels of their atoms."""

    def __init__(self, labels: Ids) -> None:
        self._labels = labels
        self._parent: dict[int, int] = {}

    def of(self, atoms: Ids) -> int:
        """Return the node of a factor, joining all labels of its atoms."""
        roots = {self._root(label) for label in np.unique(self._labels[atoms]).tolist()}
        first = min(roots)
        for root in roots:
            self._parent[root] = first
        return first

    def again(self, atoms: Ids) -> int:
        """Return the node of a factor after all have been joined."""
        return self._root(int(self._labels[atoms.flat[0]]))

    def _root(self, label: int) -> int:
        parent = self._parent.setdefault(label, label)
        while parent != label:
            grandparent = self._parent.setdefault(parent, parent)
            self._parent[label] = grandparent
            label, parent = grandparent, self._parent.setdefault(grandparent, grandparent)
        return label


def resolve(atoms: Atoms, attention: Attention) -> None:
    """Choose one factor of every product, tie its units along it, and block the others.

    Products of attention lose whole heads or the same dimensions of all heads, as `attention` says,
    or the other of the two where that one cannot leave. Everywhere else the last factor that can
    leave is taken: of channels cut into groups, the same positions of every group.
    """
    if not atoms.products:
        return
    labels = atoms.labels()
    nodes = _Nodes(labels)
    for product in atoms.products:
        for factor in product.factors:
            nodes.of(factor)
    barred: set[int] = set()
    if atoms.blocks:
        # a label is the smallest of its atoms, and so an atom itself
        blocked = np.unique(labels[np.concatenate([ids for ids, _, _ in atoms.blocks])])
        barred = {nodes.again(blocked[k : k + 1]) for k in range(len(blocked))}
    heads = {nodes.again(ids) for ids in atoms.heads}
    attends = _attending(atoms, nodes, heads)
    sharing: dict[int, list[set[int]]] = {}
    for product in atoms.products:
        own = {nodes.again(factor) for factor in product.factors}
        for node in own:
            sharing.setdefault(node, []).append(own)
    leaving: set[int] = set()
    for product in atoms.products:
        own = [nodes.again(factor) for factor in product.factors]
        if leaving & set(own):
            continue
        free = [n for n in own if n not in barred and own.count(n) == 1]
        if not free:
            continue
        if attends & set(own):
            wanted = [n for n in free if (n in heads) == (attention == "heads")]
            chosen = (wanted or free)[-1]
        else:
            chosen = free[-1]
        leaving.add(chosen)
        for theirs in sharing[chosen]:
            barred.update(theirs - {chosen})
    for product in atoms.products:
        own = [nodes.again(factor) for factor in product.factors]
        _settle(atoms, product, own, leaving, heads)


def _attending(atoms: Atoms, nodes: _Nodes, heads: set[int]) -> set[int]:
    """Return the nodes of all factors that share a product with heads."""
    found = set(heads)
    for product in atoms.products:
        own = {nodes.again(factor) for factor in product.factors}
        if own & heads:
            found |= own
    return found


def _settle(
    atoms: Atoms, product: Product, own: list[int], leaving: set[int], heads: set[int]
) -> None:
    leaves = [node in leaving for node in own]
    if sum(leaves) != 1:
        reason = f"{product.here} cuts the units into several axes of fixed size."
        atoms.block(product.ids, reason)
        for factor in product.factors:
            atoms.block(factor, reason)
        return
    axis = leaves.index(True)
    sizes = [len(factor) for factor in product.factors]
    for k, factor in enumerate(product.factors):
        if k != axis:
            atoms.block(factor, f"{product.here} keeps {sizes[k]} positions on one of its axes.")
    rest = int(np.prod(sizes)) // sizes[axis]
    sentence = None
    if not product.is_merge:
        what = " × ".join(str(size) for size in sizes)
        how = "the same positions leave every part" if axis else f"whole parts of {rest} leave"
        if set(own) & heads:
            how = "the same dimensions leave every head"
            if own[axis] in heads:
                how = "whole heads leave"
        sentence = f"{product.here} cuts the units into {what}, and {how}."
    moved = np.moveaxis(product.ids, axis, 0).reshape(sizes[axis], rest)
    for column in range(rest):
        atoms.tie(product.factors[axis], moved[:, column].copy(), sentence)
