"""How far a share that was counted on a few images, or a mean over a few seeds, may be from the truth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Give the Wilson score interval of a share, by default at 95 %; of nothing counted, all of [0, 1].

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 209 (1927).

    >>> [round(bound, 3) for bound in wilson_interval(9, 10)]
    [0.596, 0.982]
    >>> wilson_interval(0, 0)
    (0.0, 1.0)
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    r"""Give Student's interval of a mean, \bar x \pm t_{k-1} s / \sqrt k; of fewer than two values, None.

    Args:
        values: One for each of k independent trainings.
        level: Its confidence.

    References:
        Student, "The probable error of a mean", Biometrika 6, 1 (1908).

    >>> [round(bound, 3) for bound in t_interval([0.1, 0.2, 0.3])]
    [-0.048, 0.448]
    >>> t_interval([0.1]) is None
    True
    """
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    quantile = float(stdtrit(len(values) - 1, (1 + level) / 2))
    margin = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return mean - margin, mean + margin
