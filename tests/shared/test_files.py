import hashlib
import json
import os
import stat

import pytest

from shared.files import atomic_write, digest, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_litter(tmp_path, fault):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(fault), atomic_write(path, "w") as file:
        file.write("half of the new")
        file.flush()
        raise fault
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_an_exception_leaves_no_new_file(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "deep" / "new.bin") as file:
        file.write(b"half")
        raise RuntimeError
    assert names(tmp_path) == []


def test_until_the_end_readers_see_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with atomic_write(path, "w") as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
        assert [name for name in names(tmp_path) if name.endswith(".part")]
    assert path.read_text() == "new" and names(tmp_path) == ["a.txt"]


def test_text_is_utf8_with_line_feeds_everywhere(tmp_path):
    write_text(tmp_path / "a.txt", "一\r\n二\n🎉")
    assert (tmp_path / "a.txt").read_bytes() == "一\r\n二\n🎉".encode()


def test_json_is_readable_and_comes_back(tmp_path):
    write_json(tmp_path / "a.json", {"键": [1, None, "值"]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "键" in text and text.endswith("\n") and json.loads(text) == {"键": [1, None, "值"]}


def test_unwritable_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert json.loads((tmp_path / "a.json").read_text()) == 1 and names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_digest(tmp_path):
    content = os.urandom(3 << 20)
    (tmp_path / "a.bin").write_bytes(content)
    assert digest(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()
    assert digest(tmp_path / "a.bin", "md5") == hashlib.md5(content).hexdigest()
