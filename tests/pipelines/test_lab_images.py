"""Images for the labs: folders as people have them, and what is drawn of images."""

import numpy as np
import pytest
from PIL import Image

from pipelines.labs.images import moments_of, open_images, read_images, tiles
from shared.errors import InputError


def write(folder, n=100, size=(5, 4), mode="L", suffix="png"):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (size[1], size[0]) if mode == "L" else (size[1], size[0], 3), dtype=np.uint8) for _ in range(n)]
    for place, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{place:03}.{suffix}")
    return pixels


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("RGB", "png"), ("RGB", "bmp"), ("L", "tiff")])
def test_a_folder_of_images_of_one_size_is_read_as_it_is(tmp_path, mode, suffix):
    pixels = write(tmp_path, mode=mode, suffix=suffix)
    found = read_images(tmp_path, seed=0, most=1000)
    expected = np.stack(pixels).reshape(100, 4, 5, -1).transpose(0, 3, 1, 2) / 255
    assert found.shape == (100, 1 if mode == "L" else 3, 4, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_grey_images_among_coloured_ones_get_three_channels(tmp_path):
    pixels = write(tmp_path, mode="RGB")
    Image.fromarray(pixels[0][:, :, 0]).save(tmp_path / "000.png")
    found = read_images(tmp_path, seed=0, most=1000)
    assert found.shape == (100, 3, 4, 5)
    np.testing.assert_allclose(found[0], np.stack([pixels[0][:, :, 0]] * 3) / 255, atol=1e-6)


def test_every_file_that_is_wrong_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "010.png").write_bytes(b"no image")
    (tmp_path / "011.png").write_bytes((tmp_path / "012.png").read_bytes()[:60])
    Image.new("L", (7, 4)).save(tmp_path / "020.png")
    with pytest.raises(InputError) as caught:
        read_images(tmp_path, seed=0, most=1000)
    problems = caught.value.problems
    assert [(problem.code, problem.file.rsplit("/")[-1]) for problem in problems] == [("LIC-L011", f"0{number}.png") for number in (10, 11, 20)]
    assert problems[2].found == "7 x 4 pixels" and problems[2].expected.startswith("5 x 4 pixels")


def test_too_few_images_no_folder_and_large_ones_are_refused(tmp_path):
    write(tmp_path / "few", n=99)
    for folder, found in ((tmp_path / "few", "99 images"), (tmp_path / "none", "no such folder"), (tmp_path, "0 images")):
        with pytest.raises(InputError) as caught:
            open_images(str(folder), seed=0, most=1000)
        assert (caught.value.problems[0].code, caught.value.problems[0].found) == ("LIC-L012", found)
    write(tmp_path / "large", size=(200, 150))
    with pytest.raises(InputError) as caught:
        read_images(tmp_path / "large", seed=0, most=1000)
    assert len(caught.value.problems) == 100 and caught.value.problems[0].found == "200 x 150 pixels"


def test_what_is_left_out_is_said(tmp_path, capfd):
    write(tmp_path, n=120)
    (tmp_path / "notes.txt").write_text("x")
    found = open_images(str(tmp_path), seed=3, most=110)
    assert len(found.train) == len(found.test) == 55 and found.train_labels is None and found.name == tmp_path.name
    said = capfd.readouterr().err
    assert "1 files are not images" in said and "110 of 120 images are used" in said
    np.testing.assert_array_equal(found.train, open_images(str(tmp_path), seed=3, most=110).train)


def test_digits_are_two_halves_with_labels():
    pytest.importorskip("sklearn.datasets")
    found = open_images("", seed=0, most=4000)
    assert found.shape == [1, 8, 8] and len(found.train) == len(found.test) == 898
    assert set(found.train_labels) == set(range(10)) and 0 <= found.train.min() < found.train.max() <= 1
    shared_ones = {image.tobytes() for image in found.train} & {image.tobytes() for image in found.test}
    assert len(shared_ones) < 5  # no image is in both halves, but for drawings that are equal


def test_tiles_hold_every_image_in_its_place():
    images = np.arange(5 * 6).reshape(5, 1, 2, 3) / 30
    sheet = tiles(images, 3)
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1)
    np.testing.assert_array_equal(sheet[4:6, 5:8], images[4, 0])
    assert (sheet[0] == 1).all() and (sheet[4:6, 9:12] == 1).all()
    assert tiles(np.zeros([2, 3, 2, 2]), 2).shape == (4, 7, 3)


def test_mean_and_deviation_over_seeds():
    means, spreads = moments_of({"a": [{"x": 1, "y": 0.0}, {"x": 3, "y": 0.0}], "b": [{"x": 5, "y": 1.0}]}, ("x",))
    assert means == {"a": {"x": 2.0}, "b": {"x": 5.0}} and spreads == {"a": {"x": pytest.approx(2**0.5)}, "b": {"x": 0.0}}
