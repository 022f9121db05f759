import importlib.util
import json

import pytest
from typer.testing import CliRunner

from pipelines.bench import app, read_texts, text
from shared.errors import InputError

LINES = ["你好，世界 2020", "hello 世界"]


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "你", "好", "，", "世", "界", "hello", "2", "##0", "##2"]))
    return path


def test_json_lines_plain_lines_and_folders_are_read(tmp_path):
    (tmp_path / "a.json").write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    (tmp_path / "b.txt").write_text("\r\n".join(LINES) + "\r\n\r\n")
    (tmp_path / "c.md").write_text("no text of ours")
    assert read_texts(tmp_path / "a.json") == read_texts(tmp_path / "b.txt") == LINES
    assert read_texts(tmp_path) == LINES + LINES


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (None, "LIC-B001", None),
        (b"\xff", "LIC-B002", None),
        (b'{"text": "a"}\n\n{"txt": "a"}\n', "LIC-B003", 3),
        (b'{"text": "a"}\n{"text": 1}\n', "LIC-B003", 2),
        (b'{"text": "a"}\n["text"]\n', "LIC-B003", 2),
        (b'{"text": "a"}\n{"text"\n', "LIC-B003", 2),
        (b"\n\n", "LIC-B004", None),
    ],
)
def test_unreadable_texts_are_refused_with_their_place(tmp_path, data, code, line):
    path = tmp_path / "texts.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_texts(path)
    assert [(problem.code, problem.line, problem.file) for problem in caught.value.problems] == [(code, line, str(path))]


def test_the_report_holds_every_candidate_with_equal_tokens(tmp_path, vocabulary):
    (tmp_path / "texts.txt").write_text("\n".join(LINES))
    report = text(tmp_path / "texts.txt", vocabulary, repeats=2, peers=["tokenizers"])
    assert (report["texts"], report["characters"], report["repeats"]) == (2, sum(map(len, LINES)), 2)
    names = [row["name"] for row in report["rows"]]
    assert names[:2] == ["ours, encode_batch", "ours, encode"]
    if importlib.util.find_spec("tokenizers"):
        assert names[2:] == ["tokenizers, encode_batch", "tokenizers, encode"]
        assert all(row["same_tokens"] == 1 for row in report["rows"])
    else:
        assert "not installed" in report["rows"][2]["note"]
    assert all(row["slowest"] <= row["characters_per_second"] <= row["fastest"] for row in report["rows"] if "note" not in row)


def test_wrong_arguments_are_refused(tmp_path, vocabulary):
    for wrong in ({"repeats": 0}, {"slow_characters": 0}, {"peers": ["sentencepiece"]}):
        with pytest.raises(ValueError, match="give"):
            text(tmp_path, vocabulary, **wrong)


def test_the_command_prints_one_json_object_or_a_table(tmp_path, vocabulary):
    (tmp_path / "texts.txt").write_text("\n".join(LINES))
    command = ["text", "--input", str(tmp_path / "texts.txt"), "--vocab", str(vocabulary), "--repeats", "1", "--peer", "tokenizers"]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"][0]["name"] == "ours, encode_batch"
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "ours" in result.stdout


def test_an_unknown_peer_is_the_users_mistake(tmp_path, vocabulary):
    result = CliRunner().invoke(app, ["text", "--input", str(tmp_path), "--vocab", str(vocabulary), "--peer", "sentencepiece"])
    assert isinstance(result.exception, InputError) and result.exception.problems[0].code == "LIC-B005"
