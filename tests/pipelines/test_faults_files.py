"""Files that are missing, folders, empty, packed wrongly or in another encoding, given to every verb that reads them."""

import json
import zipfile
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
TRACKS = ("relation", "event", "reading")
MEMBERS = {"relation": "duie.json", "event": "duee.json", "reading": "reading.json"}
ROWS = {
    "relation": {"text": "《纸鸢》由温青禾执导", "spo_list": []},
    "event": {"text": "温青禾出任《纸鸢》导演", "id": "a", "event_list": []},
    "reading": {
        "data": [
            {
                "title": "",
                "paragraphs": [{"context": "温青禾住在海螺湾", "qas": [{"id": "a", "question": "住在哪里", "answers": [{"text": "海螺湾"}]}]}],
            }
        ]
    },
}


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in Path(folder).rglob("*")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a sound file of each track, a folder, an empty file, an empty zip and a GBK file of each track."""
    monkeypatch.chdir(tmp_path)
    for track in TRACKS:
        row = json.dumps(ROWS[track], ensure_ascii=False) + "\n"
        (tmp_path / f"{track}.json").write_text(row, encoding="utf-8")
        (tmp_path / f"{track}-gbk.json").write_bytes(row.encode("gbk"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside.txt").write_text("x", encoding="utf-8")
    (tmp_path / "empty.json").touch()
    (tmp_path / "empty.zip").touch()
    return tmp_path


READERS = {
    "data check": lambda track, path: ["data", "check", track, path],
    "data roundtrip": lambda track, path: ["data", "roundtrip", track, path],
    "score, gold": lambda track, path: ["score", track, path, f"{track}.json"],
    "score, prediction": lambda track, path: ["score", track, f"{track}.json", path],
    "submit check": lambda track, path: ["submit", "check", track, path],
    "submit check --against": lambda track, path: ["submit", "check", track, f"{track}.json", "--against", path],
}


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("path", "wanted"), [("no/such.json", "LIC-D001"), ("folder", "LIC-D002"), ("empty.json", "LIC-D003")])
def test_a_file_that_is_none(track, reader, path, wanted, place, fault):
    before = tree(place)
    code, codes, err = fault(*READERS[reader](track, path))
    if reader == "data check" and path != "empty.json":
        wanted = "LIC-F004"  # a folder without an official file, or nothing at all
    assert code == 2 and wanted in codes and path in err
    assert tree(place) == before


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("reader", ["data check", "score, gold", "submit check", "submit check --against"])
def test_gbk_is_told_with_the_command_that_converts_it(track, reader, place, fault):
    code, codes, err = fault(*READERS[reader](track, f"{track}-gbk.json"))
    assert code == 2 and "LIC-D004" in codes and "GBK" in err and "iconv -f GB18030 -t UTF-8" in err


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("path", ["no/such.json", "folder", "empty.json"])
def test_predict_of_a_file_that_is_none(track, path, place, trained, fault):
    code, codes, err = fault("predict", track, "--run", trained(track) / "runs" / track / "quick", "--input", path)
    assert code == 2 and codes[0] in ("LIC-D001", "LIC-D002", "LIC-D003") and path in err and not (place / "submissions").exists()


OTHERS = {
    "--data of train": (["train", "event", "--data", "nowhere"], "LIC-D030"),
    "--data of train, a file": (["train", "event", "--data", "event.json"], "LIC-D030"),
    "--data of train, of no data": (["train", "event", "--data", "folder"], "LIC-F004"),
    "--data of preprocess": (["preprocess", "event", "--data", "nowhere"], "LIC-D030"),
    "--data of evaluate": (["evaluate", "event", "--baseline", "--data", "nowhere"], "LIC-D030"),
    "--recipe": (["train", "event", "--recipe", "no/such.toml"], "LIC-R001"),
    "--recipe, a folder": (["train", "event", "--recipe", "folder"], "LIC-R001"),
    "--recipe, no TOML": (["train", "event", "--recipe", "event.json"], "LIC-R002"),
    "--recipe, GBK": (["train", "event", "--recipe", "event-gbk.json"], "LIC-R002"),
    "--run of train, a file": (["train", "event", "--run", "event.json"], "LIC-U002"),
    "--run of predict": (["predict", "event", "--run", "nowhere"], "LIC-U004"),
    "--run of predict, a file": (["predict", "event", "--run", "event.json"], "LIC-U004"),
    "--run of extract": (["extract", "event", "温青禾", "--run", "folder"], "LIC-U004"),
    "--schema": (["data", "check", "event", "event.json", "--schema", "nowhere.json"], "LIC-D001"),
    "--schema, a folder": (["data", "check", "event", "event.json", "--schema", "folder"], "LIC-D002"),
    "--schema, GBK": (["data", "check", "event", "event.json", "--schema", "event-gbk.json"], "LIC-D004"),
    "--alias": (["score", "relation", "relation.json", "relation.json", "--alias", "nowhere.tsv"], "LIC-D001"),
    "--alias, GBK": (["score", "relation", "relation.json", "relation.json", "--alias", "relation-gbk.json"], "LIC-D004"),
    "import": (["data", "import", "event", "nowhere.zip"], "LIC-F004"),
    "import of a folder without data": (["data", "import", "event", "folder"], "LIC-F004"),
    "import to a file": (["data", "import", "event", "event.json", "--to", "empty.json"], "LIC-F011"),
    "import of nothing": (["data", "import", "event", "empty.zip"], "LIC-F008"),
    "an encoder that is none": (["train", "event", "--data", str(SAMPLES / "event"), "--set", "encoder.source=./nowhere"], "LIC-W001"),
    "an encoder folder of no encoder": (["train", "event", "--data", str(SAMPLES / "event"), "--set", "encoder.source=folder"], "LIC-W002"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_paths(case, place, fault):
    arguments, wanted = OTHERS[case]
    before = tree(place)
    code, codes, err = fault(*arguments)
    assert (code, codes) == (2, [wanted]) and "  中文：" in err
    assert tree(place) == before


# -- zips ----------------------------------------------------------------------------------------------------------


def packed(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("track", TRACKS)
def test_a_zip_of_no_bytes(track, place, fault):
    for arguments in (["submit", "check", track, "empty.zip"], ["score", track, f"{track}.json", "empty.zip"]):
        code, codes, err = fault(*arguments)
        assert (code, codes) == (2, ["LIC-D003"]) and "empty.zip" in err


@pytest.mark.parametrize("track", TRACKS)
def test_a_zip_of_no_file(track, place, fault):
    packed(place / "none.zip", {})
    for arguments in (["submit", "check", track, "none.zip"], ["score", track, f"{track}.json", "none.zip"]):
        assert fault(*arguments)[:2] == (2, ["LIC-S010"])  # not: a score of 0


@pytest.mark.parametrize("track", TRACKS)
def test_a_zip_of_the_finder(track, place, fault, report):
    prediction = {"relation": ROWS["relation"], "event": ROWS["event"], "reading": {"a": "海螺湾"}}[track]
    data = json.dumps(prediction, ensure_ascii=False) + "\n"
    packed(place / "mac.zip", {MEMBERS[track]: data, f"__MACOSX/._{MEMBERS[track]}": "\0\5\26\7", ".DS_Store": "x"})
    code, codes, err = fault("submit", "check", track, "mac.zip")
    assert (code, codes) == (2, ["LIC-S003", "LIC-S003"]) and "zip -d" in err and err.count("  中文：") == 1
    packed(place / "clean.zip", {MEMBERS[track]: data})
    assert report("score", track, f"{track}.json", "mac.zip") == report("score", track, f"{track}.json", "clean.zip")


@pytest.mark.parametrize("track", TRACKS)
def test_an_archive_of_the_finder_is_imported_without_its_litter(track, place, report):
    row = (place / f"{track}.json").read_text(encoding="utf-8")
    packed(place / "data.zip", {"d/train.json": row, "__MACOSX/d/._train.json": "\0\5", "d/.DS_Store": "x", "d/readme.txt": "x"})
    told = report("data", "import", track, "data.zip")
    assert [file["split"] for file in told["imported"]] == ["train"]
    assert [path.name for path in (place / "data" / track).iterdir()] == [Path(told["imported"][0]["file"]).name]


def test_an_empty_member_stops_an_import_before_anything_is_written(place, fault):
    packed(place / "data.zip", {"train.json": (place / "event.json").read_text(encoding="utf-8"), "dev.json": ""})
    code, codes, err = fault("data", "import", "event", "data.zip")
    assert (code, codes) == (2, ["LIC-D003"]) and "data.zip/dev.json" in err and not (place / "data").exists()


def test_an_import_overwrites_nothing_that_differs(place, fault, report):
    (place / "data" / "event").mkdir(parents=True)
    own = place / "data" / "event" / "train.json"
    own.write_text("mine", encoding="utf-8")
    packed(place / "data.zip", {"train.json": (place / "event.json").read_bytes(), "dev.json": (place / "event.json").read_bytes()})
    assert fault("data", "import", "event", "data.zip")[:2] == (2, ["LIC-F007"])
    assert own.read_text(encoding="utf-8") == "mine" and list(own.parent.iterdir()) == [own]
    report("data", "import", "event", "data.zip", "--replace")
    assert own.read_bytes() == (place / "event.json").read_bytes()
