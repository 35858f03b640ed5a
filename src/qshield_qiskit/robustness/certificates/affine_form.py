r"""Affine forms: what a network computes, as a linear function of the pixels' changes and an error that is bounded.

    y(x + \delta) \in  centre + \sum_d slopes_d \delta_d + [-error, error]   for every \delta of the ball

Linear layers act on centre and slopes exactly. A nonlinear one is replaced by a line and the largest distance from it,
over the values that can occur; a line that touches, such as a tangent, leaves an error of second order. So for small
balls an affine form is as good as the gradient, yet it holds for the whole ball. The largest errors of a layer become
symbols of their own, unknowns in [-1, 1] with slopes like a pixel's, so that later layers know which of their values
owe them to the same cause. Plain intervals (interval bound propagation) are carried along, and whichever of the two is
narrower is used.

On a CPU slopes are float32, and all rounding of theirs is counted into the error. All else is float64, slopes on a GPU
too, whose convolutions round single precision in ways of their own.

References:
    Singh et al., "Fast and effective robustness certification", NeurIPS 2018 (the lines, as zonotopes).
    Gowal et al., "On the effectiveness of interval bound propagation", arXiv 1810.12715 (2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qshield_qiskit.robustness.certificates.ball import Ball
from qshield_qiskit.robustness.certificates.packing import Packing
from qshield_qiskit.robustness.certificates.window import Window, Windows

UNIT_ROUNDOFF = 2.0**-23
"""Of single precision, twice over."""

NAMES = itertools.count()
"""Of error symbols, so that no two are taken for one."""

Linear = Callable[[Tensor, Tensor], Tensor]
"""Applies a weight to a batch, without a bias."""


@dataclass(frozen=True)
class AffineForm:
    """Bounds on a tensor of values (...) over a ball of images.

    Attributes:
        ball: The images.
        centre: (...), float64.
        slopes: (R + S, ...), for R rows of pixels and S symbols.
        error: (...), at least 0, float64.
        low: (...), also a bound from below, float64.
        high: (...), also a bound from above, float64.
        symbols: The S symbols' names.
        new_symbols: How many errors of a layer become symbols, at most.
        packing: How pixels share the R rows; None if R is D, a row for each.
    """

    ball: Ball
    centre: Tensor
    slopes: Tensor
    error: Tensor
    low: Tensor
    high: Tensor
    symbols: tuple[int, ...] = ()
    new_symbols: int = 0
    packing: Packing | None = None

    @classmethod
    def of_images(cls, ball: Ball, new_symbols: int = 0) -> AffineForm:
        """Give the ball's images themselves, (C, H, W)."""
        image = ball.image.double()
        packing = Packing(tuple(image.shape))
        kind = torch.float32 if image.device.type == "cpu" else torch.float64
        slopes = packing.identity(image.device).to(kind)
        low, high = (image - ball.radius).clamp(min=0), (image + ball.radius).clamp(max=1)
        return cls(
            ball,
            image,
            slopes,
            torch.zeros_like(image),
            low,
            high,
            (),
            new_symbols,
            packing if packing.shares else None,
        )

    @property
    def pixels(self) -> Tensor | None:
        """Which pixel each row stands for, (R, 1, H, W); None if each pixel has a row of its own."""
        if self.packing is None:
            return None
        height, width = self.centre.shape[-2:]
        return self.packing.pixels(height, width, self.centre.device)[:, None]

    def unpacked(self) -> AffineForm:
        """Give every pixel a row of its own."""
        if self.packing is None:
            return self
        rows = self.packing.rows
        slopes = torch.cat([self.packing.unpacked(self.slopes[:rows]), self.slopes[rows:]])
        return replace(self, slopes=slopes, packing=None)

    def reach(self) -> Tensor:
        """Bound the sum of all terms' magnitudes, (...)."""
        return self.ball.reach(self.slopes, self.pixels)

    def narrowed(self) -> AffineForm:
        """Take what the slopes say into `low` and `high`."""
        low, high = self.ball.extremes(self.slopes, self.pixels)
        low = torch.maximum(self.low, self.centre + low - self.error)
        high = torch.minimum(self.high, self.centre + high + self.error)
        return replace(self, low=low, high=torch.maximum(low, high))

    def linear(
        self, apply: Linear, weight: Tensor, bias: Tensor | None = None, window: Window | None = None
    ) -> AffineForm:
        """Go through a linear layer.

        Args:
            apply: Computes the layer without its bias, from a batch (B, ...) and a weight.
            weight: Its weight, float64; the first axis is that of the outputs.
            bias: Broadcast against the output, or None.
            window: What one output depends on; None for all values.
        """
        packing = None if self.packing is None or window is None else self.packing.behind(window)
        if packing is None and self.packing is not None:
            return self.unpacked().linear(apply, weight, bias)
        magnitude, terms = weight.abs(), weight[0].numel()

        def one(values: Tensor, matrix: Tensor) -> Tensor:
            return apply(values[None], matrix)[0]

        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        interval, spread = one(middle, weight), one(half, magnitude)
        rounding = (terms + 2) * UNIT_ROUNDOFF * one(self.reach(), magnitude)
        centre = one(self.centre, weight)
        shift = torch.zeros((), dtype=centre.dtype, device=centre.device) if bias is None else bias
        return replace(
            self,
            centre=centre + shift,
            slopes=apply(self.slopes, weight.to(self.slopes.dtype)),
            error=one(self.error, magnitude) + rounding,
            low=interval - spread + shift,
            high=interval + spread + shift,
            packing=packing,
        )

    def scaled(self, scale: Tensor, shift: Tensor) -> AffineForm:
        """Multiply every value by its own scale and shift it; both broadcast."""
        low, high = self.low * scale, self.high * scale
        rounding = 2 * UNIT_ROUNDOFF * self.reach()
        return replace(
            self,
            centre=self.centre * scale + shift,
            slopes=self.slopes * scale.to(self.slopes.dtype),
            error=(self.error + rounding) * scale.abs(),
            low=torch.minimum(low, high) + shift,
            high=torch.maximum(low, high) + shift,
        )

    def along(self, slope: Tensor, least: Tensor, most: Tensor, low: Tensor, high: Tensor) -> AffineForm:
        """Replace a function of each value by a line.

        Args:
            slope: (...), the line's.
            least: (...), below (function - slope * value) for every value that can occur.
            most: (...), above it.
            low: (...), below the function.
            high: (...), above the function.
        """
        line = self.scaled(slope, (least + most) / 2)
        return replace(line, error=line.error + (most - least) / 2, low=low, high=high)

    def relu(self) -> AffineForm:
        """Go through max(0, .), along the line of least area where a value may have either sign."""
        form = self.narrowed()
        low, high = form.low, form.high
        either = (low < 0) & (high > 0)
        slope = torch.where(either, high / (high - low).clamp(min=1e-300), (low >= 0).to(low))
        most = torch.where(either, -slope * low, torch.zeros_like(low))
        line = form.along(slope, torch.zeros_like(low), most, low.clamp(min=0), high.clamp(min=0))
        return line.with_symbols()

    def tanh(self) -> AffineForm:
        """Go through tanh, along its least slope, so that what is left is monotone."""
        form = self.narrowed()
        low, high = form.low.tanh(), form.high.tanh()
        slope = torch.minimum(1 - low.square(), 1 - high.square())
        return form.along(slope, low - slope * form.low, high - slope * form.high, low, high)

    def max_pool(self, window: Window) -> AffineForm:
        r"""Take maxima over windows, of values (C, H, W).

        A value that some other one of its window always exceeds is left out. The rest is replaced by its mean m: the
        maximum is at least m, and at most m + max_i (x_i - m), bounded by the difference's own affine form.
        """
        packing = None if self.packing is None else self.packing.behind(window)
        if packing is None and self.packing is not None:
            return self.unpacked().max_pool(window)
        form = self.narrowed()
        windows = Windows(form.low.shape, window)
        lows, highs = windows.of(form.low, -torch.inf), windows.of(form.high, -torch.inf)  # (k^2, C, H', W')
        low, high = lows.amax(0), highs.amax(0)
        shares = (highs >= low).to(low)
        shares = shares / shares.sum(0)
        centres, errors, reaches = (windows.of(each, 0.0) for each in (form.centre, form.error, form.reach()))
        centre, error = (shares * centres).sum(0), (shares * errors).sum(0)
        used = [place for place, share in enumerate(shares) if bool(share.any())]
        parts = {place: windows.one(form.slopes, place, 0.0) for place in used}
        mean = torch.zeros_like(parts[used[0]])
        for place in used:
            mean.addcmul_(parts[place], shares[place].to(mean))

        pooled = replace(form, centre=centre, slopes=mean, error=error, low=low, high=high, packing=packing)
        contested = shares.amax(0) < 1
        rounding = (len(used) + 2) * UNIT_ROUNDOFF * (shares * reaches).sum(0)  # before slopes cancel
        excess = torch.zeros_like(low[contested])
        middle, pixels = mean[:, contested], pooled.pixels
        pixels = None if pixels is None else pixels.expand(-1, len(low), -1, -1)[:, contested]
        for place in used if len(excess) else ():
            share, part = shares[place][contested], parts[place][:, contested]
            _, above = self.ball.extremes(part - middle, pixels)
            # the error of x_i counts less in x_i - m, where it is in m as well
            own = error[contested] + (1 - 2 * share) * errors[place][contested]
            own = own + rounding[contested] + UNIT_ROUNDOFF * reaches[place][contested]
            most = (centres[place] - centre)[contested] + above + own
            excess = torch.where(share > 0, torch.maximum(excess, most), excess)
        half = torch.zeros_like(low)
        half[contested] = excess / 2
        return replace(pooled, centre=centre + half, error=error + rounding + half).with_symbols()

    def with_symbols(self) -> AffineForm:
        """Turn the largest errors into symbols."""
        errors = self.error.flatten()
        count = min(self.new_symbols, int((errors > 0).sum()))
        if count == 0:
            return self
        values, places = errors.topk(count)
        rows = self.slopes.new_zeros(count, len(errors))
        rows[torch.arange(count, device=rows.device), places] = (values * (1 + 2 * UNIT_ROUNDOFF)).to(
            rows.dtype
        )
        return replace(
            self,
            slopes=torch.cat([self.slopes, rows.reshape(count, *self.error.shape)]),
            error=errors.index_fill(0, places, 0.0).reshape(self.error.shape),
            symbols=(*self.symbols, *(next(NAMES) for _ in range(count))),
        )

    def mean(self) -> AffineForm:
        """Average over all places of (C, H, W), to (C,)."""
        form = self.unpacked()
        averaged = [
            each.mean(dim=(-2, -1)) for each in (form.centre, form.slopes, form.error, form.low, form.high)
        ]
        count = form.centre.shape[-1] * form.centre.shape[-2]
        rounding = (count + 2) * UNIT_ROUNDOFF * form.reach().mean(dim=(-2, -1))
        centre, slopes, error, low, high = averaged
        return replace(form, centre=centre, slopes=slopes, error=error + rounding, low=low, high=high)

    def plus(self, other: AffineForm) -> AffineForm:
        """Add another form of the same ball; what both owe to the same pixel is added up with its sign."""
        if self.packing != other.packing:
            return self.unpacked().plus(other.unpacked())
        symbols = tuple(dict.fromkeys(self.symbols + other.symbols))
        slopes = [form._slopes_for(symbols) for form in (self, other)]
        rounding = UNIT_ROUNDOFF * (self.reach() + other.reach())
        return replace(
            self,
            centre=self.centre + other.centre,
            slopes=slopes[0] + slopes[1],
            error=self.error + other.error + rounding,
            low=self.low + other.low,
            high=self.high + other.high,
            symbols=symbols,
        )

    def _slopes_for(self, symbols: tuple[int, ...]) -> Tensor:
        """Give the slopes for a longer list of symbols; it does not depend on those that it lacks."""
        if symbols == self.symbols:
            return self.slopes
        pixels = len(self.slopes) - len(self.symbols)
        wider = self.slopes.new_zeros(pixels + len(symbols), *self.slopes.shape[1:])
        place = {name: pixels + i for i, name in enumerate(symbols)}
        wider[[*range(pixels), *(place[name] for name in self.symbols)]] = self.slopes
        return wider

    def flatten(self) -> AffineForm:
        """Make a vector of the values."""
        form = self.unpacked()
        return replace(
            form,
            centre=form.centre.flatten(),
            slopes=form.slopes.flatten(1),
            error=form.error.flatten(),
            low=form.low.flatten(),
            high=form.high.flatten(),
        )

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Give the narrowest bounds from below and above, each (...)."""
        form = self.narrowed()
        return form.low, form.high
