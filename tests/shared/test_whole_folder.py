import pytest

from shared.files import whole_folder


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_new_folder_with_its_parents(tmp_path):
    with whole_folder(tmp_path / "a" / "b", marker="kind.json") as aside:
        (aside / "kind.json").write_text("{}", encoding="utf-8")
        assert not (tmp_path / "a" / "b").exists()
    assert listing(tmp_path) == ["a", "a/b", "a/b/kind.json"]


def test_a_failure_leaves_nothing_or_the_older_one(tmp_path):
    with pytest.raises(KeyError), whole_folder(tmp_path / "a" / "b", marker="kind.json") as aside:
        (aside / "kind.json").write_text("{}", encoding="utf-8")
        raise KeyError("half way")
    assert listing(tmp_path) == []
    for text in ("one", "two"):
        with whole_folder(tmp_path / "b", marker="kind.json") as aside:
            (aside / "kind.json").write_text(text, encoding="utf-8")
    with pytest.raises(KeyError), whole_folder(tmp_path / "b", marker="kind.json") as aside:
        raise KeyError("half way")
    assert (tmp_path / "b" / "kind.json").read_text(encoding="utf-8") == "two"
    assert listing(tmp_path) == ["b", "b/kind.json"]


def test_what_is_of_another_kind_is_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty", marker="kind.json") as aside:
        (aside / "kind.json").touch()
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    for name in ("file", "other"):
        with pytest.raises(ValueError, match=r"holds no kind\.json"), whole_folder(tmp_path / name, marker="kind.json"):
            pass
    assert listing(tmp_path) == ["empty", "empty/kind.json", "file", "other", "other/file"]
