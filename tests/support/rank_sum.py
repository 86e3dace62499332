"""Whether two samples of times are of one distribution."""

import math
from collections.abc import Sequence


def area_under_curve(ours: Sequence[float], others: Sequence[float]) -> float:
    """Give how often one of ours is the larger one: 0.5 where nothing tells them apart.

    It is the area under the curve (ROC) of a guess by the time.
    """
    wins = sum((a > b) + (a == b) / 2 for a in ours for b in others)
    return wins / (len(ours) * len(others))


def rank_score(ours: Sequence[float], others: Sequence[float]) -> float:
    """Give the standard score of the rank sum test (Mann and Whitney, 1947).

    Where both samples are of one distribution, it is beyond 4 once in 16,000 times.
    """
    n, m = len(ours), len(others)
    excess = (area_under_curve(ours, others) - 0.5) * n * m
    return excess / math.sqrt(n * m * (n + m + 1) / 12)
