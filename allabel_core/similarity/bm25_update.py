"""Neighbour lists carried over to a pool in which some texts are new or gone.

Every new text changes the weight of every term and the average length, hence every similarity, but
only a little. For any ``growth`` R >= 1,

    S'[q, d] <= R S[q, d] + sum over terms t of q of count(q, t) max(0, r w'(t) - R w(t)) (k1 + 1)

where w are term weights and r = max(1, average length' / average length), since an impact is
weight x frequency factor, the factor is at most k1 + 1, and grows at most r-fold. In the same way,
with r = min(1, average length' / average length) and R <= 1,

    S'[q, d] >= R S[q, d] - sum over terms t of q of count(q, t) max(0, R w(t) - r w'(t)) (k1 + 1).

Listed texts keep
such a bound, ``stale``, until a question is asked that they might be an answer to; then they are
scored. New texts are compared with all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from allabel_core.similarity.bm25_index import Bm25Index
from allabel_core.similarity.remembering import WIDTH, Floors, Lists, Memory
from allabel_core.similarity.topk import no_neighbours
from allabel_core.types import FloatArray, IntArray

# Weights from this up grow no more than ``growth``, where no new text has the term.
_HEAVY = 5.0


@dataclass(frozen=True, slots=True)
class Update:
    """From one pool to the next.

    :param origin: (n,) index in the ``old`` pool of each text of the ``new`` one, -1 for new texts.
    """

    old: Bm25Index
    new: Bm25Index
    origin: IntArray
    k1: float
    decimals: int
    kernels: Any

    def carried(self, memory: Memory) -> Memory:
        """What was remembered of the old pool brought up to date for the new one."""
        kept = np.flatnonzero(self.origin >= 0)
        before = self.origin[kept]
        place = np.full(len(self.old) + 1, -1, dtype=np.int64)
        place[before] = kept
        carried = Memory.empty(len(self.new))
        carried.nearest[kept] = place[memory.nearest[before]]
        growth, shrinkage = 1 + self._drift, 1 - self._drift
        rise, drop = self._sums(growth, shrinkage) + self._margin
        carried.at_least[kept] = shrinkage * memory.at_least[before] - drop[kept]
        into, out_of = _sliced(kept), _sliced(before)
        # Columns stay as they are; what they are multiplied by and what is taken off is said once for all.
        floors = memory.floors
        drop[into] += shrinkage * floors.drop[out_of]
        carried.floors = Floors({}, shrinkage * floors.scale, drop)
        if len(kept) == len(self.old) and isinstance(into, slice) and isinstance(out_of, slice):
            carried.floors.columns.update(floors.columns)
        else:
            for d, column in floors.columns.items():
                if place[d] >= 0:
                    known = before < len(column)
                    moved = carried.floors.columns[int(place[d])] = np.full(len(self.new), -np.inf)
                    moved[kept[known]] = column[before[known]]
        if memory.lists is not None:
            carried.lists = self._raised(memory.lists, place, growth, rise)
            _meet(self.new, self.origin, carried.lists, self._margin, self.kernels)
        return carried

    @property
    def _margin(self) -> float:
        """Twice what rounding similarities can add, on both sides."""
        return 4 * 10.0**-self.decimals

    @property
    def _drift(self) -> float:
        """By which part heavy weights change at most where no new text has their terms."""
        changed = len(self.new) + len(self.old) - 2 * np.count_nonzero(self.origin >= 0)
        return float(changed / max(1, len(self.new)) / _HEAVY)

    def _raised(self, lists: Lists, place: IntArray, growth: float, rise: FloatArray) -> Lists:
        """``lists`` with every similarity as a bound, those of new texts empty.

        :param place: (old texts + 1,) index in the new pool of each text of the old one, -1 for gone.
        """
        n = len(self.new)
        found = no_neighbours(n, WIDTH)
        everything = np.ones((n, WIDTH), dtype=np.bool_)
        raised = Lists(found, np.full(n, -np.inf), stale=everything, loose=everything[:, 0].copy())
        self.kernels.raise_lists(
            lists.neighbours.indices,
            lists.neighbours.similarities,
            lists.left_out,
            self.origin,
            place,
            growth,
            rise,
            found.indices,
            found.similarities,
            raised.left_out,
        )
        return raised

    def _sums(self, growth: float, shrinkage: float) -> FloatArray:
        """(2, n): the sums in the bounds from above and from below, of every text as a query."""
        ratio = self.new.average_length / self.old.average_length
        before = self.old.term_weights
        after = self.new.term_weights[: len(before)]
        # A term that no old text has adds nothing to the similarity of two old texts.
        changes = np.zeros((len(self.new.term_weights), 2))
        changes[: len(before), 0] = np.maximum(0.0, max(1.0, ratio) * after - growth * before)
        changes[: len(before), 1] = np.maximum(0.0, shrinkage * before - min(1.0, ratio) * after)
        sums = np.empty((2, len(self.new)))
        self.kernels.row_sums(
            self.new.starts, self.new.terms, self.new.counts, changes * (self.k1 + 1), *sums
        )
        return sums


def _sliced(indices: IntArray) -> IntArray | slice:
    """The same as a slice, which is quicker, where they are 0, 1, 2 and so on."""
    size = len(indices)
    return slice(size) if np.array_equal(indices, np.arange(size)) else indices


def _meet(index: Bm25Index, origin: IntArray, lists: Lists, margin: float, kernels: Any) -> None:
    """Put the new texts on the lists of all others, and all others on theirs."""
    longest = int(np.diff(index.starts).max(initial=0))
    kernels.meet(
        *index.scored,
        origin,
        np.flatnonzero(origin < 0),
        1 + (longest + 8) * 2.0**-23,
        margin,
        lists.neighbours.indices,
        lists.neighbours.similarities,
        lists.left_out,
    )
