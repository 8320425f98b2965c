"""Rows of options in which every pair of values of any two options occurs at least once."""

from __future__ import annotations

import random
from itertools import combinations


def pairwise(options, seed=1, candidates=40):
    """A greedy pairwise covering array.

    Parameters
    ----------
    options : dict of str to sequence
        The values of every option.
    seed : int
        The rows are a function of `options` and this alone.
    candidates : int
        Rows tried for every row kept; more gives a shorter list.

    Returns
    -------
    list of dict
        Rows ``{option: index of its value}``.
    """
    rng = random.Random(seed)
    names = list(options)
    missing = {
        (a, i, b, j) for a, b in combinations(names, 2) for i in range(len(options[a])) for j in range(len(options[b]))
    }

    def pairs(row):
        return {(a, row[a], b, row[b]) for a, b in combinations(names, 2)}

    rows = []
    while missing:
        best, covered = None, set()
        a, i, b, j = min(missing)
        for _ in range(candidates):
            row = {name: rng.randrange(len(options[name])) for name in names} | {a: i, b: j}
            new = pairs(row) & missing
            if len(new) > len(covered):
                best, covered = row, new
        rows.append(best)
        missing -= covered
    return rows
