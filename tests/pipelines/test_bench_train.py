import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.bench import app, read_texts
from pipelines.bench_train import training
from shared.errors import InputError, WorkError
from shared.text import Vocabulary

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
EVENT, RELATION = SAMPLES / "event" / "dev.json", SAMPLES / "relation" / "dev.json"
CONFIG = {
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
}
QUICK = {"layers": 1, "batch_tokens": 96, "tags": 5, "repeats": 2, "seconds": 0.05}


@pytest.fixture
def encoder(tmp_path):
    words = Vocabulary.build([text for file in (EVENT, RELATION) for text in read_texts(file)], max_size=300)
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": len(words)}), encoding="utf-8")
    return folder


def refused(*arguments):
    done = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert isinstance(done.exception, InputError), done.output
    (problem,) = done.exception.problems
    return problem


def test_our_own_training_is_measured_against_the_peak_of_the_same_run(encoder):
    arguments = ["--data-event", EVENT, "--data-relation", RELATION, "--encoder", encoder, "--peer", "none", "--json"]
    sizes = ["--layers", 1, "--batch-tokens", 96, "--repeats", 2, "--seconds", 0.05]
    done = CliRunner().invoke(app, ["train", *map(str, arguments + sizes)])
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    (ours,) = report["rows"]
    assert report["texts"] == len(read_texts(EVENT)) + len(read_texts(RELATION))
    assert 0 < report["cut_texts"] < report["texts"] and 3 <= report["tokens_per_text"] <= 24
    assert report["encoder"]["num_layers"] == 1 and report["encoder"]["hidden_size"] == 8
    assert ours["name"] == "lic" and ours["ratio"] == 1.0 and ours["steps"] >= 2
    assert 0 < ours["slowest"] <= ours["real_tokens_per_second"] <= ours["fastest"]
    assert ours["real_tokens_per_second"] <= ours["padded_tokens_per_second"]
    assert report["peak_gflops"] > 0
    for kind in ("real", "padded"):
        assert report["share_of_peak"][kind] == pytest.approx(ours["flops_per_second"][kind] / report["peak_gflops"] / 1e9)
    assert 0 < report["share_of_peak"]["real"] <= report["share_of_peak"]["padded"] < 1


def test_a_peer_that_is_not_installed_has_a_note(encoder, tmp_path):
    bare = tmp_path / "bare.py"  # this Python without the peers
    bare.write_text(f"#!{sys.executable}\nimport os, sys\nos.execv({sys.executable!r}, [{sys.executable!r}, '-c', {WITHOUT!r}, *sys.argv[1:]])\n")
    bare.chmod(0o755)
    report = training(EVENT, RELATION, encoder, **QUICK, peers=("torch",), torch_python=str(bare))
    ours, *others = report["rows"]
    assert ours["real_tokens_per_second"] > 0
    assert [row["name"] for row in others] == ["PyTorch, sdpa", "PyTorch, eager"]
    assert all(row["note"].startswith("not installed (") and "real_tokens_per_second" not in row for row in others)


WITHOUT = """
import runpy, sys
sys.modules["torch"] = sys.modules["transformers"] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_an_interpreter_that_does_not_start_is_said(encoder):
    with pytest.raises(WorkError) as caught:
        training(EVENT, RELATION, encoder, **QUICK, peers=("torch",), torch_python=str(encoder / "none"))
    assert caught.value.problems[0].code == "LIC-B009" and "does not start" in caught.value.problems[0].found


@pytest.mark.skipif("LIC_REAL_DATA" not in os.environ, reason="three imports of paddlenlp take a minute; runs beside the real data's tests")
def test_paddlenlps_trainer_trains_the_same_texts_padded_and_short(encoder):
    pytest.importorskip("paddlenlp")
    report = training(EVENT, RELATION, encoder, **QUICK, peers=("paddlenlp",))
    ours, installed, tuned, short = report["rows"]
    assert all(row["ratio"] == pytest.approx(ours["real_tokens_per_second"] / row["real_tokens_per_second"]) for row in report["rows"])
    shares = [row["real_tokens_per_second"] / row["padded_tokens_per_second"] for row in (installed, tuned, short)]
    assert max(shares) <= 1.0


def test_bad_flags_and_files_give_one_line(encoder, tmp_path, monkeypatch):
    monkeypatch.delenv("LIC_REAL_DATA", raising=False)
    files = ["--data-event", EVENT, "--data-relation", RELATION]
    assert refused(*files, "--encoder", encoder, "--peer", "jax").code == "LIC-B005"
    problem = refused("--data-event", EVENT)
    assert problem.code == "LIC-B007" and "--data-relation" in problem.found
    problem = refused(*files, "--encoder", tmp_path)
    assert problem.code == "LIC-B008" and problem.file.endswith("config.json")
    assert refused("--data-event", tmp_path / "none.json", "--data-relation", RELATION, "--encoder", encoder).code == "LIC-B001"
    (encoder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": 300, "hidden_size": 9}), encoding="utf-8")
    assert refused(*files, "--encoder", encoder, "--peer", "none").code == "LIC-B006"
    with pytest.raises(ValueError, match="above 0"):
        training(EVENT, RELATION, encoder, **{**QUICK, "repeats": 0})
    with pytest.raises(ValueError, match="unknown peers"):
        training(EVENT, RELATION, encoder, **QUICK, peers=("jax",))
