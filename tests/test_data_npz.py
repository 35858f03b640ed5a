"""An .npz of one's own: every layout and dtype comes back exactly, everything else is one line."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qshield_qiskit.data import load_dataset
from qshield_qiskit.errors import InputError

SAME_FOLDER = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def good(num_train=20, num_test=10, **replaced):
    """A small valid set of two classes, with some keys replaced or (None) left out."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, size in (("train", num_train), ("test", num_test)):
        arrays[f"{part}_images"] = random.integers(0, 256, (size, 6, 5), np.uint8)
        arrays[f"{part}_labels"] = np.arange(size) % 2
    return {key: array for key, array in (arrays | replaced).items() if array is not None}


def saved(folder, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


@st.composite
def stored_images(draw, size):
    """Images (N, C, H, W) in [0, 1], and how they are stored: (images, stored)."""
    channels, height, width = draw(st.sampled_from([1, 3])), draw(st.integers(4, 9)), draw(st.integers(4, 9))
    pixels = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (size, channels, height, width))
    dtype = draw(st.sampled_from(["u1", "f2", "f4", "f8", ">f4", ">f8"]))
    stored = pixels.astype("u1") if dtype == "u1" else (pixels / 255).astype(dtype)
    images = pixels.astype("f4") / np.float32(255) if dtype == "u1" else stored.astype("f4")
    layouts = ["NCHW", "NHWC"] + ["NHW"] * (channels == 1)
    layout = draw(st.sampled_from(layouts))
    stored = {"NCHW": stored, "NHWC": np.moveaxis(stored, 1, 3), "NHW": stored[:, 0]}[layout]
    return images, np.asfortranarray(stored) if draw(st.booleans()) else stored


@SAME_FOLDER
@given(st.data())
def test_images_of_any_layout_and_dtype_come_back_exactly(tmp_path, data):
    images, stored = data.draw(stored_images(12))
    labels = np.arange(12) % 3
    dtype = data.draw(st.sampled_from(["u1", "i2", "i8", "u8", ">i4"]))
    stored_labels = labels.astype(dtype).reshape(data.draw(st.sampled_from([(12,), (12, 1)])))
    path = saved(
        tmp_path,
        train_images=stored,
        train_labels=stored_labels,
        test_images=stored[::-1],
        test_labels=stored_labels[::-1],
    )
    dataset = load_dataset(str(path), validation_fraction=0.25)
    np.testing.assert_array_equal(dataset.test.images, images[::-1])
    np.testing.assert_array_equal(dataset.test.labels, labels[::-1])
    assert dataset.test.images.dtype == torch.float32 and dataset.test.images.is_contiguous()
    assert dataset.classes == ("0", "1", "2") and dataset.shape == images.shape[1:] and dataset.name == "mine"
    seen = torch.cat([dataset.train.images, dataset.validation.images])
    assert {row.numpy().tobytes() for row in seen} == {row.tobytes() for row in images}


def test_a_part_may_be_all_black(tmp_path):
    dataset = load_dataset(str(saved(tmp_path, **good(test_images=ZEROS[:10]))))
    assert (dataset.test.images == 0).all()


def test_its_own_validation_split_and_class_names_are_used(tmp_path):
    pictures = np.full((6, 6, 5), 255, np.uint8)
    extra = {"val_images": pictures, "val_labels": np.arange(6) % 2, "class_names": np.array(["cat", "dog"])}
    dataset = load_dataset("mine", file=saved(tmp_path, **good(), **extra))
    assert len(dataset.train) == 20 and len(dataset.validation) == 6
    assert (dataset.validation.images == 1).all() and dataset.classes == ("cat", "dog")
    assert dataset.source[0].path.endswith("mine.npz") and dataset.source[0].published_md5 is None


def test_its_own_validation_split_can_be_left_unused(tmp_path):
    extra = {"val_images": np.full((6, 6, 5), 255, np.uint8), "val_labels": np.arange(6) % 2}
    dataset = load_dataset("mine", file=saved(tmp_path, **good(), **extra), validation_fraction=0)
    assert [len(split) for split in (dataset.train, dataset.validation)] == [20, 0]


def test_a_file_is_found_under_the_root_and_in_the_working_directory(tmp_path, monkeypatch):
    saved(tmp_path, **good())
    by_root = load_dataset("mine.npz", root=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert torch.equal(load_dataset("./mine.npz", root="/nowhere").train.images, by_root.train.images)


def table(**replaced):
    random = np.random.default_rng(0)
    arrays = {
        "train_images": random.normal(5, 3, (40, 7)),
        "train_labels": np.arange(40) % 2,
        "test_images": random.normal(5, 9, (20, 7)),
        "test_labels": np.arange(20) % 2,
    }
    return arrays | replaced


def test_tabular_features_are_scaled_on_the_training_split_alone(tmp_path):
    arrays = table()
    arrays["train_images"][:, 3] = 4.0  # a constant feature
    dataset = load_dataset(str(saved(tmp_path, **arrays)), validation_fraction=0.25)
    assert dataset.shape == (1, 1, 7) and len(dataset.train) == 30
    features = np.delete(dataset.train.images[:, 0, 0].numpy(), 3, axis=1)
    assert (features.min(axis=0) == 0).all() and (features.max(axis=0) == 1).all()
    assert (dataset.train.images[..., 3] == 0).all()
    for split in (dataset.validation, dataset.test):
        assert split.images.min() >= 0 and split.images.max() <= 1
    # The test features spread wider than training's, so some are clipped at either end.
    assert (dataset.test.images == 0).any() and (dataset.test.images == 1).any()
    # The map is affine and training's own: undone, it gives back the test features that were not clipped.
    scaled, raw = dataset.test.images[:, 0, 0].numpy(), arrays["test_images"]
    inside = (scaled[:, 0] > 0) & (scaled[:, 0] < 1)
    slope, offset = np.polyfit(scaled[inside, 0], raw[inside, 0], 1)
    np.testing.assert_allclose(slope * scaled[inside, 0] + offset, raw[inside, 0], atol=1e-5)
    assert offset >= arrays["train_images"][:, 0].min() - 1e-5


@pytest.mark.parametrize("dtype", ["u1", "i4", "f2", ">f8"])
def test_tabular_features_may_be_any_real_numbers(tmp_path, dtype):
    arrays = table(train_images=np.arange(280).reshape(40, 7) % 13)
    arrays["test_images"] = arrays["train_images"][:20]
    arrays |= {key: arrays[key].astype(dtype) for key in ("train_images", "test_images")}
    dataset = load_dataset(str(saved(tmp_path, **arrays)))
    np.testing.assert_allclose(dataset.test.images[:, 0, 0] * 12, arrays["test_images"], atol=1e-5)


def nan_pixel(**options):
    images = np.zeros((20, 6, 5), **options)
    images[3, 2, 1] = np.nan
    return images


ZEROS = np.zeros((20, 6, 5), np.uint8)
BROKEN = {
    "a key is missing": (good(test_labels=None), "lacks test_labels; it holds train_images"),
    "half a validation split": (good(val_images=ZEROS), "lacks val_labels"),
    "no key at all": ({"x": ZEROS}, "lacks train_images, train_labels, test_images, test_labels"),
    "float 0 to 255": (good(train_images=ZEROS + 255.0), "train_images runs from 255 to 255; floats lie in"),
    "negative": (good(test_images=ZEROS[:10] - 0.5), "test_images runs from -0.5 to -0.5"),
    "infinite": (good(train_images=ZEROS + np.inf), "train_images runs from inf to inf"),
    "NaN": (good(train_images=nan_pixel()), "train_images has 1 values that are not a number"),
    "NaN in half": (
        good(train_images=nan_pixel(dtype="f2")),
        "train_images has 1 values that are not a number",
    ),
    "int64 images": (good(train_images=ZEROS.astype(int)), "train_images is int64; expected uint8 from 0"),
    "bool images": (
        good(train_images=ZEROS > 0),
        "train_images is bool; expected uint8 from 0 to 255, or float in [0, 1]; try .astype('float32')",
    ),
    "complex images": (good(train_images=ZEROS + 0j), "train_images is complex128"),
    "text": (
        good(train_images=np.array(["a"])),
        "train_images has shape (1,); expected (N, H, W), (N, H, W, C)",
    ),
    "5-D": (good(train_images=ZEROS[:, None, None]), "train_images has shape (20, 1, 1, 6, 5); expected"),
    "2 channels": (good(train_images=np.zeros((20, 2, 6, 5), "u1")), "no side of 1 or 3 channels"),
    "0 and 1 of 255": (
        good(test_images=np.ones((10, 6, 5), "u1")),
        "test_images is uint8 and runs from 1 to 1 of 255; expected 0 to 255; try .astype('float32')",
    ),
    "two readings": (good(train_images=np.zeros((20, 3, 6, 1), "u1")), "either side could be the channels"),
    "empty": (good(test_images=ZEROS[:0], test_labels=np.zeros(0, int)), "test_images is empty"),
    "fewer labels": (good(train_labels=np.arange(19) % 2), "train_labels has 19 labels for 20 images"),
    "one-hot": (good(train_labels=np.eye(20)[:, :2]), "train_labels has shape (20, 2); expected one class"),
    "float labels": (
        good(train_labels=np.arange(20) % 2.0),
        "train_labels is float64; expected whole numbers",
    ),
    "negative label": (
        good(train_labels=np.arange(20) % 2 - 1),
        "train_labels holds -1; classes count from 0",
    ),
    "huge label": (good(train_labels=np.full(20, 2**64 - 1)), "train_labels lacks class 0"),
    "classes from 1": (
        good(train_labels=np.arange(20) % 2 + 1),
        "train_labels lacks class 0; number the classes",
    ),
    "a gap": (good(train_labels=np.arange(20) % 2 * 2), "train_labels lacks class 1"),
    "one class": (good(train_labels=np.zeros(20, int), test_labels=np.zeros(10, int)), "has one class, '0'"),
    "unseen class": (good(test_labels=np.arange(10)), "test_labels holds class 9; the classes are 0 to 1"),
    "too few names": (good(class_names=np.array(["a"])), "has one class, 'a'"),
    "other size": (good(test_images=ZEROS[:10, :5]), "holds images (1, 5, 5), train_labels (1, 6, 5)"),
    "pickled": (good(train_labels=np.array([0, "a"] * 10, dtype=object)), "Object arrays cannot be loaded"),
    "tabular NaN": (table(train_images=np.full((40, 7), np.nan)), "280 values that are not finite"),
    "tabular huge": (table(test_images=np.full((20, 7), 1e300)), "140 values that are not finite in float32"),
    "tabular text": (table(train_images=np.full((40, 7), "x")), "train_images is <U1; tabular features are"),
    "pixels and a table": (
        good(train_images=np.zeros((20, 1, 7), "u1"), test_images=np.zeros((10, 7))),
        "test_images has shape (10, 7), train_images (20, 1, 7); store all parts in one layout",
    ),
    "a table and pixels": (
        table(val_images=np.zeros((4, 1, 7), "u1"), val_labels=np.arange(4) % 2),
        "val_images has shape (4, 1, 7), train_images (40, 7); store all parts in one layout",
    ),
    "fewer features": (
        table(test_images=np.zeros((20, 6))),
        "holds images (1, 1, 6), train_labels (1, 1, 7)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_a_dataset_is_one_line(tmp_path, name):
    arrays, line = BROKEN[name]
    path = saved(tmp_path, **arrays)
    with pytest.raises(InputError) as error:
        load_dataset(str(path))
    assert line in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04N.", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_npz_is_one_line(tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.npz is no \.npz, or was cut short"):
        load_dataset(str(tmp_path / "mine.npz"))


def test_an_npy_file_is_one_line(tmp_path):
    np.save(tmp_path / "mine.npy", ZEROS)
    with pytest.raises(InputError, match=r"mine\.npy is no \.npz"):
        load_dataset(str(tmp_path / "mine.npy"))


@SAME_FOLDER
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_one_line(tmp_path, share):
    whole = saved(tmp_path, **good()).read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.npz is no \.npz, or was cut short"):
        load_dataset(str(path))


@SAME_FOLDER
@given(place=st.floats(0, 0.999), byte=st.integers(0, 255), compressed=st.booleans())
def test_a_damaged_byte_is_one_line_or_does_no_harm(tmp_path, place, byte, compressed):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "hurt.npz", **good())
    content = bytearray((tmp_path / "hurt.npz").read_bytes())
    content[int(place * len(content))] = byte
    (tmp_path / "hurt.npz").write_bytes(content)
    try:
        assert len(load_dataset(str(tmp_path / "hurt.npz")).test) == 10
    except InputError as error:
        assert "hurt.npz" in str(error) and "\n" not in str(error)
