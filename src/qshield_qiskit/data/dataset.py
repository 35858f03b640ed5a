"""What a loaded dataset is: three splits of images in [0, 1], with their bounds, classes and origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to import, and listing the names of datasets needs none of it
    from torch import Tensor


@dataclass(frozen=True)
class SourceFile:
    """One file that a dataset was read from, as a run records it.

    Args:
        path: Where it lay.
        md5: Its own digest, in hexadecimal.
        published_md5: The digest that its publisher gives, or None where there is none. A file already in
            place may differ from it (a rebuilt archive does) and is used all the same.
    """

    path: str
    md5: str
    published_md5: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and their labels.

    Args:
        images: (N, C, H, W), float32 in [0, 1].
        labels: (N,), int64 in [0, K).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A dataset, ready for training and attack.

    Args:
        name: The name it was asked for by, or the name of the file or folder it came from.
        train: What the weights are fitted on.
        validation: What is held out of training, to choose the best epoch; may be empty.
        test: What figures are quoted on; the same images whatever the seed.
        classes: The K class names, in the order of the labels.
        source: Every file that was read; empty for an embedded set.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    source: tuple[SourceFile, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that a pixel may take; an attack stays between them."""
        return 0.0, 1.0

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in ("train", "validation", "test"))
        return f"Dataset({self.name}: {sizes}; images {self.shape}; {self.num_classes} classes)"
