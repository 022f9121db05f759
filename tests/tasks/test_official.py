"""Official files: found under both naming schemes, imported from any packing, never over something else."""

import io
import json
import tarfile
import zipfile

import pytest

from shared.errors import InputError
from tasks.official import KNOWN_MD5, SPLIT_FILES, find_split, import_files, sniff, split_of

EVENT = b'{"text": "\xe7\x94\xb2", "id": "1", "event_list": []}\n'
OTHER = EVENT.replace(b'"1"', b'"2"')
RELATION = b'{"text": "\xe7\x94\xb2", "spo_list": []}\n'
READING = json.dumps({"data": [{"paragraphs": []}]}, indent=1).encode()


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def tarred(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def codes(call, *given, **options):
    with pytest.raises(InputError) as caught:
        call(*given, **options)
    return [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("track", SPLIT_FILES)
def test_every_official_name_stands_for_one_split(track):
    names = [name for names in SPLIT_FILES[track].values() for name in names]
    assert len(set(names)) == len(names)
    assert all(split_of(track, name) == split for split, names in SPLIT_FILES[track].items() for name in names)
    assert all(len(md5) == 32 for md5 in KNOWN_MD5[track])


@pytest.mark.parametrize(("track", "name"), [("relation", "duie_dev.json"), ("relation", "dev_data.json"), ("event", "duee_dev.json")])
def test_a_split_is_found_under_either_scheme(tmp_path, track, name):
    (tmp_path / name).write_bytes(EVENT)
    assert find_split(track, tmp_path, "dev") == tmp_path / name


def test_test_is_test2_where_there_is_one(tmp_path):
    (tmp_path / "test1.json").write_bytes(EVENT)
    assert find_split("event", tmp_path, "test").name == "test1.json"
    (tmp_path / "duee_test2.json").write_bytes(EVENT)
    assert find_split("event", tmp_path, "test").name == "duee_test2.json"
    assert find_split("event", tmp_path, "test1").name == "test1.json"


def test_what_is_not_found_is_told(tmp_path):
    (tmp_path / "training.json").write_bytes(EVENT)
    with pytest.raises(InputError) as caught:
        find_split("event", tmp_path, "train")
    assert "training.json" in str(caught.value) and "duee_train.json" in str(caught.value)
    assert codes(find_split, "event", tmp_path / "none", "train") == ["LIC-F004"]
    assert codes(find_split, "event", tmp_path, "final") == ["LIC-F003"]
    (tmp_path / "final.json").write_text("", encoding="utf-8")
    assert find_split("event", tmp_path, "final") == tmp_path / "final.json"
    assert codes(find_split, "event", tmp_path / "none", "../final") == ["LIC-F003"]
    assert codes(find_split, "events", tmp_path, "train") == ["LIC-F001"]


def test_two_files_for_one_split(tmp_path):
    (tmp_path / "train.json").write_bytes(EVENT)
    (tmp_path / "duee_train.json").write_bytes(EVENT)
    assert find_split("event", tmp_path, "train").name == "train.json"
    (tmp_path / "duee_train.json").write_bytes(OTHER)
    assert codes(find_split, "event", tmp_path, "train") == ["LIC-F002"]


@pytest.mark.parametrize(
    ("data", "track"),
    [
        (EVENT, "event"),
        (b"\xef\xbb\xbf" + EVENT, "event"),
        (b'{"text": "a", "id": "1"}', "event"),
        (b'{"event_type": "a", "role_list": []}', "event"),
        (RELATION, "relation"),
        (b'{"text": "a"}', "relation"),
        (b'{"predicate": "a"}', "relation"),
        (READING, "reading"),
        (READING.replace(b"\n", b""), "reading"),
        (b"[]", None),
        (b"\x00\xff", None),
        (b"", None),
    ],
)
def test_content_tells_the_track(data, track):
    assert sniff(data) == track


def test_a_zip_as_a_mac_makes_it(tmp_path):
    members = {
        "DuEE1.0/duee_train.json": EVENT,
        "__MACOSX/DuEE1.0/._duee_train.json": b"\x00",
        "DuEE1.0/licence.docx": b"PK..",
        "DuEE1.0/": b"",
    }
    (tmp_path / "DuEE.zip").write_bytes(zipped(members))
    (imported,) = import_files("event", tmp_path / "DuEE.zip", tmp_path / "out")
    assert (imported.split, imported.state, imported.bytes) == ("train", "new", len(EVENT))
    assert (tmp_path / "out" / "train.json").read_bytes() == EVENT
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["train.json"]


def test_archives_within_archives_tars_folders_and_single_files(tmp_path):
    (tmp_path / "all.zip").write_bytes(zipped({"a/duee_train.json.zip": zipped({"duee_train.json": EVENT}), "a/duee_dev.json": OTHER}))
    assert {file.split for file in import_files("event", tmp_path / "all.zip", tmp_path / "one")} == {"train", "dev"}
    tarred(tmp_path / "robust.tar.gz", {"robust/train.json": READING, "robust/demo/demo_dev.json": READING, "robust/evaluate.py": b"x"})
    assert {file.split for file in import_files("reading", tmp_path / "robust.tar.gz", tmp_path / "two")} == {"train", "demo_dev"}
    folder = tmp_path / "folder" / "deep"
    folder.mkdir(parents=True)
    (folder / "duie_dev.json").write_bytes(RELATION)
    (file,) = import_files("relation", tmp_path / "folder", tmp_path / "three")
    assert (tmp_path / "three" / "dev_data.json").read_bytes() == RELATION and file.source == "deep/duie_dev.json"
    assert import_files("relation", folder / "duie_dev.json", tmp_path / "three")[0].state == "same"


def test_nothing_is_overwritten_unsaid(tmp_path):
    (tmp_path / "train.json").write_bytes(EVENT)
    (tmp_path / "dev.json").write_bytes(EVENT)
    target = tmp_path / "out"
    target.mkdir()
    (target / "train.json").write_bytes(OTHER)
    assert "LIC-F002" in codes(import_files, "event", tmp_path, target)  # out/ lies inside the source: two trains
    (tmp_path / "source").mkdir()
    for name in ("train.json", "dev.json"):
        (tmp_path / name).rename(tmp_path / "source" / name)
    assert codes(import_files, "event", tmp_path / "source", target) == ["LIC-F007"]
    assert (target / "train.json").read_bytes() == OTHER and not (target / "dev.json").exists()
    states = {file.split: file.state for file in import_files("event", tmp_path / "source", target, replace=True)}
    assert states == {"train": "replaced", "dev": "new"} and (target / "train.json").read_bytes() == EVENT


@pytest.mark.parametrize("name", ["../train.json", "/train.json", "a/../../train.json", "C:/train.json", "..\\train.json"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, name):
    (tmp_path / "bad.zip").write_bytes(zipped({"dev.json": EVENT, name: EVENT}))
    tarred(tmp_path / "bad.tar.gz", {"dev.json": EVENT, name: EVENT})
    for archive in ("bad.zip", "bad.tar.gz"):
        assert "LIC-F009" in codes(import_files, "event", tmp_path / archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_tar_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        info = tarfile.TarInfo("train.json")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info)
    assert codes(import_files, "event", tmp_path / "link.tar", tmp_path / "out") == ["LIC-F004"]


def test_other_refusals(tmp_path):
    (tmp_path / "train.json").write_bytes(RELATION)
    assert codes(import_files, "event", tmp_path / "train.json", tmp_path / "out") == ["LIC-F005"]
    (tmp_path / "cut.zip").write_bytes(zipped({"train.json": EVENT})[:-20])
    assert codes(import_files, "event", tmp_path / "cut.zip", tmp_path / "out") == ["LIC-F008"]
    cut = tarred(tmp_path / "cut.tar.gz", {"train.json": EVENT * 50}).read_bytes()[:60]
    (tmp_path / "cut.tar.gz").write_bytes(cut)
    assert codes(import_files, "event", tmp_path / "cut.tar.gz", tmp_path / "out") == ["LIC-F008"]
    (tmp_path / "two.zip").write_bytes(zipped({"a/train.json": EVENT, "b/duee_train.json": OTHER}))
    assert codes(import_files, "event", tmp_path / "two.zip", tmp_path / "out") == ["LIC-F002"]
    (tmp_path / "none.zip").write_bytes(zipped({"readme.txt": b"x"}))
    assert codes(import_files, "event", tmp_path / "none.zip", tmp_path / "out") == ["LIC-F004"]
    assert codes(import_files, "event", tmp_path / "absent.zip", tmp_path / "out") == ["LIC-F004"]
    assert codes(import_files, "events", tmp_path, tmp_path / "out") == ["LIC-F001"]
    assert not (tmp_path / "out").exists()
