"""Named datasets, splits and limits; real data where QSHIELD_DATA has it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from qshield_qiskit.data import known, load_dataset
from qshield_qiskit.data.splitting import class_shares, first_of_each_class, hold_out
from qshield_qiskit.errors import InputError

REAL = Path(os.environ.get("QSHIELD_DATA") or "/nowhere")
CIFAR10_SUBSET = REAL / "cifar10_exact_subset_4000_1000.npz"
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def needs(path):
    return pytest.mark.skipif(not path.exists(), reason=f"QSHIELD_DATA has no {path.name}")


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def assert_sound(dataset):
    for split in splits(dataset):
        assert split.images.dtype == torch.float32 and split.labels.dtype == torch.int64
        assert split.images.shape == (len(split), *dataset.shape) and split.images.is_contiguous()
        assert dataset.bounds[0] <= split.images.min() and split.images.max() <= dataset.bounds[1]
        assert set(split.labels.tolist()) == set(range(dataset.num_classes))


def test_digits_are_scikit_learns_and_end_with_the_test_set():
    dataset = load_dataset("digits")
    assert_sound(dataset)
    assert dataset.shape == (1, 8, 8) and dataset.classes == tuple("0123456789")
    assert [len(split) for split in splits(dataset)] == [1293, 144, 360]
    bunch = load_digits()
    np.testing.assert_array_equal(dataset.test.images[:, 0] * 16, bunch.images[-360:])
    np.testing.assert_array_equal(dataset.test.labels, bunch.target[-360:])


def rows(split):
    return {image.numpy().tobytes() for image in split.images}


def test_validation_is_held_out_of_training():
    dataset = load_dataset("digits")
    everything = load_digits()
    assert len(rows(dataset.train)) == 1293 and not rows(dataset.train) & rows(dataset.validation)
    assert rows(dataset.train) | rows(dataset.validation) == {
        (image / 16).astype(np.float32).tobytes() for image in everything.images[:-360]
    }
    shares = dataset.validation.labels.bincount() / dataset.train.labels.bincount()
    assert shares.min() > 0.1 and shares.max() < 0.12  # one ninth of what is left, in every class


def test_the_seed_chooses_the_validation_split_and_nothing_else():
    first, again, other = (load_dataset("digits", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.validation.images, again.validation.images)
    assert rows(first.validation) != rows(other.validation)
    assert torch.equal(first.test.images, other.test.images)


def test_limits_keep_class_shares_and_do_not_depend_on_the_seed():
    small = load_dataset("digits", train_images=100, test_images=50, validation_fraction=0.2, seed=1)
    assert [len(split) for split in splits(small)] == [80, 20, 50]
    assert small.train.labels.bincount().tolist() == [8] * 10
    assert small.test.labels.bincount().tolist() == [5] * 10
    other = load_dataset("digits", train_images=100, test_images=50, validation_fraction=0.2, seed=2)
    assert torch.equal(small.test.images, other.test.images)
    assert rows(small.train) | rows(small.validation) == rows(other.train) | rows(other.validation)
    whole = load_dataset("digits", train_images=1437, test_images=360)
    assert torch.equal(whole.test.images, load_dataset("digits").test.images)


def test_without_validation_every_training_image_trains():
    dataset = load_dataset("digits", validation_fraction=0)
    assert [len(split) for split in splits(dataset)] == [1437, 0, 360]
    assert dataset.validation.images.shape == (0, 1, 8, 8)
    assert "1,437 train, 0 validation" in repr(dataset)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"train_images": 1438}, "digits: train_images is 1,438; there are 1,437"),
        ({"test_images": 0}, "digits: test_images is 0; there are 360"),
        ({"train_images": 9}, "digits: validation split: too few images: 0.1 of 9 images in 9 classes"),
        ({"validation_fraction": -0.1}, "validation_fraction is -0.1; expected at least 0, less than 1"),
        ({"validation_fraction": 1.0}, "validation_fraction is 1; expected at least 0, less than 1"),
        ({"validation_fraction": float("nan")}, "validation_fraction is nan"),
    ],
)
def test_impossible_splits_are_one_line(settings, line):
    with pytest.raises(InputError) as error:
        load_dataset("digits", **settings)
    assert line in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mnits", "no such dataset: 'mnits'; did you mean mnist?"),
        ("organmnist", "did you mean organ"),
        ("chestmnist", "chestmnist is multi-label, but one class an image is needed"),
        ("organmnist3d", "organmnist3d holds volumes, not 2-D images"),
        ("synapsemnist3d", "synapsemnist3d holds volumes"),
        ("", "no such dataset: ''"),
        ("not/here.npz", "no such file or folder: not/here.npz (looked in "),
        ("nothere.npz", "no such file or folder: nothere.npz (looked in "),
    ],
)
def test_names_that_cannot_be_used_are_one_line(name, line):
    with pytest.raises(InputError) as error:
        load_dataset(name, root="/nowhere")
    assert line in str(error.value) and "\n" not in str(error.value)


def test_a_known_name_with_a_missing_file_does_not_fall_back_to_the_name():
    with pytest.raises(InputError, match="no such file or folder: mnist"):
        load_dataset("digits", file="mnist", root="/nowhere")


def test_known_names_have_one_line_each():
    import medmnist

    two_dimensional = {flag for flag in medmnist.INFO if not flag.endswith("3d")} - {"chestmnist"}
    assert set(known()) == {"digits", "mnist", "fashion_mnist", "cifar10"} | two_dimensional
    assert all(line and "\n" not in line for line in known().values())


def test_names_are_listed_without_loading_torch():
    import subprocess
    import sys

    code = "import sys; from qshield_qiskit.data import known; known(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


counts_and_total = st.lists(st.integers(1, 1000), min_size=1, max_size=12).flatmap(
    lambda counts: st.tuples(st.just(np.array(counts)), st.integers(1, sum(counts)))
)


@given(counts_and_total)
def test_class_shares_are_proportional_and_exact(case):
    counts, total = case
    shares = class_shares(counts, total)
    assert shares.sum() == total and (shares <= counts).all()
    assert (np.abs(shares - counts * total / counts.sum()) < 1).all()


labelled = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@given(labelled, st.data())
def test_the_first_of_each_class_are_the_first(labels, data):
    total = data.draw(st.integers(1, len(labels)))
    chosen = first_of_each_class(labels, total)
    assert len(chosen) == total and (np.diff(chosen) > 0).all()
    for label in set(labels[chosen]):
        of_class = np.flatnonzero(labels == label)
        np.testing.assert_array_equal(
            chosen[labels[chosen] == label], of_class[: (labels[chosen] == label).sum()]
        )


@given(labelled, st.floats(0.01, 0.99), st.integers(0, 3))
def test_every_class_keeps_an_image_outside_what_is_held_out(labels, fraction, seed):
    if round(fraction * len(labels)) == 0 or np.bincount(labels).max() == 1:
        with pytest.raises(InputError, match="too few images"):
            hold_out(labels, fraction, seed, "a set: a split")
        return
    held_out = hold_out(labels, fraction, seed, "a set: a split")
    assert set(labels[~held_out]) == set(labels)
    assert 0 < held_out.sum() <= round(fraction * len(labels))
    np.testing.assert_array_equal(held_out, hold_out(labels, fraction, seed, "a set: a split"))


@needs(REAL / "MNIST")
def test_mnist_is_all_there():
    dataset = load_dataset("mnist", root=REAL)
    assert_sound(dataset)
    assert dataset.shape == (1, 28, 28) and [len(split) for split in splits(dataset)] == [54000, 6000, 10000]
    both = dataset.train.labels.bincount() + dataset.validation.labels.bincount()
    assert both.tolist() == MNIST_TRAIN and dataset.test.labels.bincount().tolist() == MNIST_TEST
    assert (dataset.validation.labels.bincount() - both / 10).abs().max() < 1
    assert {file.md5 for file in dataset.source} == {
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    }


@needs(REAL / "MNIST")
def test_mnist_equals_torchvisions_reading():
    from torchvision.datasets import MNIST

    theirs, ours = MNIST(REAL, train=False), load_dataset("mnist", root=REAL).test
    assert torch.equal(ours.images[:, 0], theirs.data / 255) and torch.equal(ours.labels, theirs.targets)


@needs(REAL / "pneumoniamnist.npz")
def test_pneumoniamnist_uses_its_own_validation_split():
    dataset = load_dataset("pneumoniamnist", root=REAL, validation_fraction=0.5)
    assert_sound(dataset)
    assert dataset.classes == ("normal", "pneumonia") and dataset.shape == (1, 28, 28)
    assert [split.labels.bincount().tolist() for split in splits(dataset)] == [
        [1214, 3494],
        [135, 389],
        [234, 390],
    ]
    (file,) = dataset.source
    assert file.published_md5 == "28209eda62fecd6e6a2d98b1501bb15f" and len(file.md5) == 32


@needs(REAL / "pneumoniamnist.npz")
def test_one_medmnist_set_does_not_pass_for_another(tmp_path):
    (tmp_path / "breastmnist.npz").symlink_to(REAL / "pneumoniamnist.npz")
    with pytest.raises(InputError, match=r"breastmnist\.npz is not breastmnist: it has .*4708"):
        load_dataset("breastmnist", root=tmp_path)


@needs(CIFAR10_SUBSET)
def test_the_cifar10_subset_is_an_npz_like_any_other_and_never_cifar10(tmp_path):
    dataset = load_dataset(CIFAR10_SUBSET.name, root=REAL)
    assert_sound(dataset)
    assert dataset.name == CIFAR10_SUBSET.stem and dataset.shape == (3, 32, 32)
    both = dataset.train.labels.bincount() + dataset.validation.labels.bincount()
    assert both.tolist() == [396, 366, 420, 384, 422, 393, 414, 385, 407, 413]
    assert dataset.test.labels.bincount().tolist() == [103, 89, 100, 103, 90, 86, 112, 102, 106, 109]
    (tmp_path / CIFAR10_SUBSET.name).symlink_to(CIFAR10_SUBSET)
    with pytest.raises(InputError, match=r"put cifar-10-python\.tar\.gz in"):
        load_dataset("cifar10", root=tmp_path, mirror="http://127.0.0.1:1")
