"""The formats of the published sets: idx, CIFAR-10's batches, MedMNIST's archives."""

import gzip
import pickle
import tarfile

import numpy as np
import pytest
import torch
from idx_files import idx_bytes

from qshield_qiskit.data import cifar10, idx, load_dataset, medmnist
from qshield_qiskit.errors import InputError

TEN = tuple("0123456789")


def test_checksums_and_class_names_are_those_that_torchvision_and_medmnist_know():
    import torchvision.datasets as theirs
    from medmnist import INFO

    for name, published in (("mnist", theirs.MNIST), ("fashion_mnist", theirs.FashionMNIST)):
        ours = idx.IDX_SETS[name]
        files = [f"{filename}.gz" for filename in idx.FILENAMES]
        assert list(zip(files, ours.md5, strict=True)) == published.resources
        assert f"{ours.address}/" == published.mirrors[0]
        assert ours.classes == tuple(each.split(" - ")[0] for each in published.classes)
        assert ours.folder == f"{published.__name__}/raw"
    assert (cifar10.ARCHIVE.url, cifar10.ARCHIVE.md5) == (theirs.CIFAR10.url, theirs.CIFAR10.tgz_md5)
    assert theirs.CIFAR10.base_folder == cifar10.FOLDER
    assert medmnist.catalogue() == INFO


@pytest.mark.parametrize("shape", [(7,), (3, 4), (5, 2, 6)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path, shape, suffix):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(idx_bytes(array)) if suffix else idx_bytes(array))
    np.testing.assert_array_equal(idx.read_idx(path), array)


def test_every_truncation_of_an_idx_file_is_one_line(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for suffix, whole in (("", idx_bytes(array)), (".gz", gzip.compress(idx_bytes(array)))):
        path = tmp_path / f"file{suffix}"
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match="delete it to have it downloaded anew") as error:
                idx.read_idx(path)
            assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"\x00\x00\x0d\x01\x00\x00\x00\x01abcd", b"<html>", idx_bytes(np.zeros(3, "u1")) + b"x"]
)
def test_another_kind_of_idx_file_is_one_line(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="delete it"):
        idx.read_idx(tmp_path / "file")


def tiny_mnist(root, monkeypatch, **replaced):
    arrays = {
        "train_images": np.arange(40 * 6, dtype=np.uint8).reshape(40, 2, 3),
        "train_labels": np.arange(40, dtype=np.uint8) % 10,
        "test_images": np.arange(20 * 6, dtype=np.uint8).reshape(20, 2, 3),
        "test_labels": np.arange(20, dtype=np.uint8) % 10,
    } | replaced
    (root / "MNIST" / "raw").mkdir(parents=True)
    for name, array in zip(idx.FILENAMES, arrays.values(), strict=True):
        (root / "MNIST" / "raw" / name).write_bytes(idx_bytes(array))
    tiny = idx.IdxSet("MNIST/raw", "http://127.0.0.1:1", ("", "", "", ""), TEN, (40, 20))
    monkeypatch.setitem(idx.IDX_SETS, "mnist", tiny)


@pytest.mark.parametrize(
    ("replaced", "line"),
    [
        ({"train_images": np.zeros((39, 2, 3), "u1")}, "images (39, 2, 3) and labels (40,) are not mnist"),
        ({"test_labels": np.zeros(21, "u1")}, "labels (21,) are not mnist, which has 20"),
        ({"test_images": np.zeros((20, 6), "u1")}, "images (20, 6) and labels (20,) are not mnist"),
        ({"train_labels": np.full(40, 10, "u1")}, "a label is 10; mnist has 10 classes"),
    ],
)
def test_files_that_are_not_the_published_set_are_refused(tmp_path, monkeypatch, replaced, line):
    tiny_mnist(tmp_path, monkeypatch, **replaced)
    with pytest.raises(InputError) as error:
        load_dataset("mnist", root=tmp_path)
    assert line in str(error.value)


def test_a_truncated_mnist_file_is_named(tmp_path, monkeypatch):
    tiny_mnist(tmp_path, monkeypatch)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        InputError, match=r"t10k-images-idx3-ubyte is damaged: 100 of 136 bytes for its shape"
    ):
        load_dataset("mnist", root=tmp_path)


@pytest.fixture(scope="module")
def batches():
    """Six batches as CIFAR-10's, of ten images each."""
    random = np.random.default_rng(0)
    return {
        name: {
            "data": random.integers(0, 256, (10, 3072), np.uint8),
            "labels": list(range(10)),
            "batch_label": name,
        }
        for name in cifar10.BATCHES
    }


@pytest.fixture
def ten_a_batch(monkeypatch):
    monkeypatch.setattr(cifar10, "BATCH_SIZE", 10)


def unpacked(root, batches):
    (root / cifar10.FOLDER).mkdir(parents=True)
    for name, batch in batches.items():
        (root / cifar10.FOLDER / name).write_bytes(pickle.dumps(batch, protocol=4))
    return root


@pytest.mark.usefixtures("ten_a_batch")
def test_cifar10_reads_the_same_from_its_folder_and_from_its_archive(tmp_path, batches):
    folder = load_dataset("cifar10", root=unpacked(tmp_path / "a", batches), validation_fraction=0.4)
    (tmp_path / "b").mkdir()
    with tarfile.open(tmp_path / "b" / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name in reversed(cifar10.BATCHES):  # the archive's own order does not matter
            tar.add(tmp_path / "a" / cifar10.FOLDER / name, f"{cifar10.FOLDER}/{name}")
    archive = load_dataset("cifar10", root=tmp_path / "b", validation_fraction=0.4)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(folder, part).images, getattr(archive, part).images)
        assert torch.equal(getattr(folder, part).labels, getattr(archive, part).labels)
    assert folder.classes[3] == "cat" and folder.shape == (3, 32, 32)
    assert [len(each) for each in (folder.train, folder.validation, folder.test)] == [30, 20, 10]
    pixels = batches["test_batch"]["data"].reshape(10, 3, 32, 32)  # red plane first, as it is published
    np.testing.assert_array_equal(folder.test.images.numpy(), pixels / np.float32(255))
    assert archive.source[0].published_md5 == cifar10.ARCHIVE.md5 != archive.source[0].md5
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["cifar-10-python.tar.gz"]


def python2_pickle(batch):
    """A batch as Python 2 and the numpy of 2009 wrote it: byte strings everywhere, numpy.core, protocol 2."""

    def text(content):
        return b"T" + len(content).to_bytes(4, "little") + content

    def number(value):
        return b"J" + value.to_bytes(4, "little", signed=True)

    data = batch["data"]
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNN"
    dtype += number(-1) + number(-1) + b"K\x00tb"
    array += (
        b"(K\x01(" + b"".join(map(number, data.shape)) + b"t" + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    )
    labels = b"](" + b"".join(map(number, batch["labels"])) + b"e"
    return b"\x80\x02}(" + text(b"labels") + labels + text(b"data") + array + b"u."


@pytest.mark.usefixtures("ten_a_batch")
def test_cifar10_reads_the_pickles_of_its_time(tmp_path, batches):
    root = unpacked(tmp_path, batches)
    new = load_dataset("cifar10", root=root, validation_fraction=0.4)
    for name, batch in batches.items():
        (root / cifar10.FOLDER / name).write_bytes(python2_pickle(batch))
    old = load_dataset("cifar10", root=root, validation_fraction=0.4)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(old, part).images, getattr(new, part).images)
        assert torch.equal(getattr(old, part).labels, getattr(new, part).labels)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


@pytest.mark.usefixtures("ten_a_batch")
def test_a_batch_that_would_run_code_is_refused_and_does_not(tmp_path, batches):
    root = unpacked(
        tmp_path, batches | {"data_batch_3": {"data": Harmful(tmp_path / "ran"), "labels": [0] * 10}}
    )
    with pytest.raises(InputError, match=r"data_batch_3 \(it names .*, which is not data\)"):
        load_dataset("cifar10", root=root)
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("ten_a_batch")
@pytest.mark.parametrize(
    ("batch", "line"),
    [
        ({"data": np.zeros((9, 3072), np.uint8), "labels": [0] * 9}, "holds uint8 (9, 3072)"),
        ({"data": np.zeros((10, 3072)), "labels": [0] * 10}, "holds float64 (10, 3072)"),
        ({"data": np.zeros((10, 3072), np.uint8), "labels": [10] * 10}, "holds labels outside 0 to 9"),
        ({"data": np.zeros((10, 3072), np.uint8)}, "cannot read"),
        ([1, 2], "cannot read"),
    ],
)
def test_a_wrong_batch_is_one_line(tmp_path, batches, batch, line):
    with pytest.raises(InputError) as error:
        load_dataset("cifar10", root=unpacked(tmp_path, batches | {"data_batch_2": batch}))
    assert line in str(error.value) and "data_batch_2" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.usefixtures("ten_a_batch")
def test_damaged_batches_and_archives_are_one_line(tmp_path, batches):
    path = unpacked(tmp_path / "a", batches) / cifar10.FOLDER / "test_batch"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cannot read .*test_batch"):
        load_dataset("cifar10", root=tmp_path / "a")
    (tmp_path / "b").mkdir()
    archive = tmp_path / "b" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(path.with_name("data_batch_1"), f"{cifar10.FOLDER}/data_batch_1")
    with pytest.raises(InputError, match=r"tar\.gz lacks data_batch_2, .*delete it"):
        load_dataset("cifar10", root=tmp_path / "b")
    for length in (0, 10, 1000):
        archive.write_bytes(archive.read_bytes()[:length])
        with pytest.raises(
            InputError, match=r"^cannot read .*tar\.gz .*delete it to have it downloaded anew$"
        ):
            load_dataset("cifar10", root=tmp_path / "b")


@pytest.mark.parametrize("flag", sorted(medmnist.usable()))
def test_every_medmnist_set_is_read_by_its_flag(tmp_path, monkeypatch, flag):
    info = medmnist.catalogue()[flag]
    num_classes = len(info["label"])
    sizes = {"train": 2 * num_classes, "val": num_classes, "test": num_classes + 1}
    monkeypatch.setitem(medmnist.catalogue(), flag, dict(info, n_samples=sizes))
    arrays = {}
    for part, size in sizes.items():
        arrays[f"{part}_images"] = np.zeros((size, 28, 28, 3)[: 3 + (info["n_channels"] == 3)], np.uint8)
        arrays[f"{part}_labels"] = np.arange(size, dtype=np.uint8)[:, None] % num_classes
    np.savez(tmp_path / f"{flag}.npz", **arrays)
    dataset = load_dataset(flag, root=tmp_path)
    assert dataset.shape == (info["n_channels"], 28, 28)
    assert dataset.classes == tuple(info["label"].values()) and len(dataset.validation) == num_classes
    assert dataset.source[0].published_md5 == info["MD5"]


def test_a_grey_set_in_colour_is_not_the_published_one(tmp_path):
    info = medmnist.catalogue()["breastmnist"]
    arrays = {}
    for part, size in info["n_samples"].items():
        arrays[f"{part}_images"] = np.zeros((size, 28, 28, 3), np.uint8)
        arrays[f"{part}_labels"] = np.arange(size) % 2
    np.savez_compressed(tmp_path / "breastmnist.npz", **arrays)
    with pytest.raises(
        InputError, match=r"is not breastmnist: it has .* images of shape \(3, 28, 28\); .*dataset\.file"
    ):
        load_dataset("breastmnist", root=tmp_path)
