"""A folder of images of one's own."""

import numpy as np
import pytest
import torch
from PIL import Image

from qshield_qiskit.data import load_dataset
from qshield_qiskit.errors import InputError


def picture(path, value=0, mode="L", size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def pets(root, parts=("train", "test"), each=4):
    """Cats are black, dogs white; an image's position in its class is its first pixel."""
    for part in parts:
        for name, value in (("cat", 0), ("dog", 255)):
            for number in range(each):
                path = root / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.full((4, 5), value, np.uint8)
                pixels[0, 0] = number
                Image.fromarray(pixels).save(path)
    return root


def test_the_folders_are_the_splits_and_the_classes(tmp_path):
    dataset = load_dataset(str(pets(tmp_path / "pets")), validation_fraction=0.25)
    assert dataset.name == "pets" and dataset.classes == ("cat", "dog") and dataset.shape == (1, 4, 5)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [6, 2, 8]
    for split in (dataset.train, dataset.validation, dataset.test):
        assert torch.equal(split.images[:, 0, 3, 4].long(), split.labels)
    assert (dataset.test.images[:, 0, 0, 0] * 255).round().tolist() == [0, 1, 2, 3] * 2


def test_its_own_validation_split_is_used(tmp_path):
    dataset = load_dataset("x", file=pets(tmp_path, ("train", "val", "test"), each=3))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [6, 6, 6]


def test_without_splits_a_fifth_is_the_test_set_the_same_for_every_seed(tmp_path):
    root = pets(tmp_path, [""], each=20)
    first, other = (load_dataset(str(root), seed=seed, validation_fraction=0.25) for seed in (0, 1))
    assert [len(split) for split in (first.train, first.validation, first.test)] == [24, 8, 8]
    assert first.test.labels.bincount().tolist() == [4, 4]
    assert torch.equal(first.test.images, other.test.images)
    assert not torch.equal(first.validation.images, other.validation.images)
    everything = torch.cat([first.train.images, first.validation.images, first.test.images])
    assert len({image.numpy().tobytes() for image in everything}) == 40


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif", ".tiff", ".webp"])
def test_lossless_colour_formats_come_back_exactly(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 3), np.uint8)
    for part in ("train", "test"):
        for number, each in enumerate(pixels):
            path = tmp_path / part / "ab"[number % 2] / f"{number}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(each).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    dataset = load_dataset(str(tmp_path))
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    np.testing.assert_array_equal(dataset.test.images, np.moveaxis(pixels[order], 3, 1) / np.float32(255))


def test_one_colour_image_makes_the_set_colour_and_stray_files_are_no_images(tmp_path):
    pets(tmp_path)
    picture(tmp_path / "train" / "cat" / "9.jpg", (255, 0, 0), "RGB")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("x")
    (tmp_path / "train" / "cat" / "._0.png").write_text("x")
    (tmp_path / "train" / ".cache").mkdir()
    dataset = load_dataset(str(tmp_path))
    assert dataset.shape == (3, 4, 5) and dataset.classes == ("cat", "dog")
    grey = dataset.test.images
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 1], grey[:, 2])


def ink(alpha, mode):
    """A picture that is black wherever it is not transparent, as alpha (H, W) says, stored in some mode."""
    black = Image.new("RGBA", alpha.shape[::-1])
    black.putalpha(Image.fromarray(alpha))
    if mode != "P":
        return black.convert(mode)
    palette = Image.fromarray((alpha > 0).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.info["transparency"] = 0
    return palette


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    alphas = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (8, 4, 5))
    for part in ("train", "test"):
        for number, alpha in enumerate(alphas):
            path = tmp_path / part / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            ink(alpha, mode).save(path)
    images = load_dataset(str(tmp_path)).test.images
    expected = 1 - alphas[[0, 2, 4, 6, 1, 3, 5, 7]] / np.float32(255)
    np.testing.assert_array_equal(images, np.broadcast_to(expected[:, None], images.shape))


def test_what_is_half_transparent_is_half_white(tmp_path):
    pets(tmp_path)
    Image.new("RGBA", (5, 4), (200, 0, 0, 51)).save(tmp_path / "test" / "dog" / "9.png")
    reddish = load_dataset(str(tmp_path)).test.images[-1, :, 0, 0] * 255
    np.testing.assert_allclose(reddish, [0.2 * 200 + 0.8 * 255, 0.8 * 255, 0.8 * 255], atol=1)


def test_a_transparent_grey_keeps_the_set_grey(tmp_path):
    pets(tmp_path)
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "test" / "dog" / "9.png", transparency=7)
    dataset = load_dataset(str(tmp_path))
    assert dataset.shape == (1, 4, 5)
    assert (dataset.test.images[-1] == 1).all()


def test_the_digest_tells_another_folder_apart(tmp_path):
    first = load_dataset(str(pets(tmp_path))).source
    assert load_dataset(str(tmp_path)).source == first
    picture(tmp_path / "test" / "cat" / "0.png", 77)
    assert load_dataset(str(tmp_path)).source != first


def drop(path):
    def do(root):
        target = root / path
        if target.is_dir():
            for file in target.rglob("*"):
                if file.is_file():
                    file.unlink()
            for folder in sorted(target.rglob("*"), reverse=True):
                folder.rmdir()
            target.rmdir()
        else:
            target.unlink()

    return do


def truncate(path):
    return lambda root: (root / path).write_bytes((root / path).read_bytes()[:50])


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (drop("test"), "has train/ but needs both train/<class>/ and test/<class>/"),
        (drop("test/dog"), "test/dog holds no images (.bmp, .jpeg, .jpg, .png"),
        (lambda root: picture(root / "test" / "cow" / "0.png"), "has class 'cow', train/ has not"),
        (lambda root: (root / "train" / "dog" / "7.png").write_text("x"), "cannot read"),
        (truncate("test/dog/1.png"), "test/dog/1.png"),
        (lambda root: picture(root / "test" / "dog" / "8.png", size=(6, 4)), "images of 6x4 and 5x4 pixels"),
        (lambda root: picture(root / "test" / "dog" / "8.png", mode="I;16"), "has mode I;16; expected 8-bit"),
        (lambda root: [drop("train/dog")(root), drop("test/dog")(root)], "has one class, 'cat'"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(tmp_path, spoil, line):
    spoil(pets(tmp_path))
    with pytest.raises(InputError) as error:
        load_dataset(str(tmp_path))
    assert line in str(error.value) and str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_an_empty_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"has no subfolders; expected one for each class: <class>/\*\.png"):
        load_dataset(str(tmp_path))


def test_too_few_images_to_cut_a_test_set_from_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"test split: too few images: 0\.2 of 2 images in 2 classes"):
        load_dataset(str(pets(tmp_path, [""], each=1)))
