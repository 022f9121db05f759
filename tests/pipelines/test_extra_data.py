"""Further files and other words in a training of the reading track, and what a run says of paraphrases and of its n best answers."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli import run
from pipelines.extra_data import repeated
from tasks.reading.records import Answer, ReadingRecord, read_records, write_records

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "reading"
TINY = ["--recipe", "quick", "--data", str(SAMPLES), "--set", "training.max_records=24", "--set", "training.epochs=1"]


@given(st.floats(0, 4), st.integers(0, 40))
def test_a_weight_is_how_often_a_unit_comes(weight, count):
    units = np.arange(count) + 5
    found = repeated(np.full(count, weight), units)
    assert (np.diff(found) >= 0).all() and abs(len(found) - weight * count) <= 1
    copies = np.unique(found, return_counts=True)[1]
    assert not count or set(copies) <= {int(weight), int(weight) + 1}
    twice = repeated(np.concatenate([np.full(count, weight), np.full(3, 2.0)]), np.concatenate([units, [90, 91, 92]]))
    assert twice.tolist() == [*found.tolist(), 90, 90, 91, 91, 92, 92]


def extra_file(path):
    """Two new questions, one without an answer, and one that dev asks too."""
    dev = read_records(SAMPLES / "dev.json", labelled=True).records[0]
    new = [ReadingRecord("n1", "誰造了船？", "岑若川造了船", (Answer("岑若川", 0),)), ReadingRecord("n2", "船在哪里", "岑若川造了船", ())]
    write_records(path, [*new, ReadingRecord("n3", dev.question + "？", dev.text, dev.answers)])


def test_a_training_with_everything(tmp_path, monkeypatch, capfd, report):
    monkeypatch.chdir(tmp_path)
    extra_file(tmp_path / "more.json")
    train = read_records(SAMPLES / "train.json", labelled=True).records[:24]
    (tmp_path / "data").mkdir()
    write_records("data/train.json", train)
    write_records("data/dev.json", read_records(SAMPLES / "dev.json", labelled=True).records[:6])
    assert run(["data", "paraphrase", "data/dev.json", "--out", "dev.jsonl", "--most", "2"]) == 0
    assert run(["data", "paraphrase", "data/train.json", "--out", "train.jsonl"]) == 0
    capfd.readouterr()
    prefix = train[0].id
    options = ["--extra", "more.json", "--set", f'training.weights={{"more.json" = 3, "{prefix}" = 0}}', "--set", "training.paraphrases=train.jsonl"]
    options += ["--set", "model.paraphrase_share=0.5", "--set", "model.consistency=0.5", "--set", "model.no_answer=true"]
    small = ["--recipe", "quick", "--data", "data", "--set", "training.epochs=1", "--set", "encoder.num_layers=1", "--set", "encoder.hidden_size=32"]
    assert run(["train", "reading", *small, *options, "--set", "decode.no_answer_threshold=0.5", "--run", "r"]) == 0
    err = capfd.readouterr().err
    assert "more.json: 3 questions on 2 contexts, 1 of them without an answer" in err
    assert "more.json: 1 questions left out" in err and "more.json: 2 units come 6 times an epoch" in err
    assert "other words for" in err and "24 units come" in err
    config = (tmp_path / "r" / "config.toml").read_text(encoding="utf-8")
    assert '"extra 1" = "more.json sha256:' in config and 'paraphrases = "train.jsonl sha256:' in config

    told = report("evaluate", "reading", "--run", "r", "--paraphrases", "dev.jsonl")
    changes = told["over_sensitivity"]
    assert changes["questions"] <= told["questions"] and changes["paraphrases"] == sum(part["paraphrases"] for part in changes["per_source"].values())
    assert 0 <= changes["changed"] <= 1 and all(source.startswith("rule: ") for source in changes["per_source"])

    made = report("predict", "reading", "--run", "r", "--split", "dev", "--n-best-file", "best.json", "--n-best", "4", "--out", "out.zip")
    best = json.loads((tmp_path / "best.json").read_text(encoding="utf-8"))
    answers = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert made["n_best_file"] == "best.json" and {key: found[0]["text"] for key, found in best.items()} == answers
    assert all(1 <= len(found) <= 4 and sum(one["probability"] for one in found) <= 1 + 1e-6 for found in best.values())
    found = report("extract", "reading", "岑若川造了船", "--question", "谁造了船", "--run", "r", "--n-best", "3")["found"]
    assert len(found) == 3

    assert run(["train", "reading", "--run", "r", "--resume"]) == 0 and "finished" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train", "event", "--extra", "more.json", "--data", str(SAMPLES.parent / "event"), "--recipe", "quick"], "LIC-X020"),
        (["train", "reading", *TINY, "--extra", "none.json"], "LIC-X021"),
        (["train", "reading", *TINY, "--set", "training.weights={nobody=2}"], "LIC-X022"),
        (["data", "paraphrase", str(SAMPLES / "dev.json"), "--out", "o.jsonl", "--no-rules"], "LIC-X023"),
        (["data", "paraphrase", str(SAMPLES / "dev.json"), "--out", "o.jsonl", "--generate", "3"], "LIC-X023"),
        (["evaluate", "event", "--paraphrases", "p.jsonl"], "LIC-X024"),
        (["train", "reading", *TINY, "--set", "training.weights={a=-1}"], "LIC-R006"),
    ],
)
def test_faults(arguments, code, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.json").write_text("{}")
    exit_code, codes, _ = fault(*arguments)
    assert exit_code == 2 and codes == [code] and not (tmp_path / "runs").exists() and not (tmp_path / "o.jsonl").exists()


def test_pairs_and_pools_are_sources(tmp_path, monkeypatch, report):
    """With a model of random weights: only the very question is surely near."""
    from shared.backbone import Backbone, BackboneConfig
    from shared.similarity import SimBERT
    from shared.text import Tokenizer, Vocabulary

    monkeypatch.chdir(tmp_path)
    write_records("q.json", [ReadingRecord("1", "谁造了2条船", "岑若川造了船", (Answer("岑若川", 0),))])
    rows = [("谁造了2条船", "2条船是谁造的", 1), ("谁造了3条船", "谁造了2条船", 1), ("谁造了2条船", "谁买了2条船", 0)]
    pairs = [{"text": text, "pair": other, "label": label} for text, other, label in rows]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs), encoding="utf-8")
    made = report("data", "paraphrase", "q.json", "--out", "o.jsonl", "--no-rules", "--pairs", "pairs.jsonl")
    assert made["paraphrases"] == 1 and made["other_numbers"] == 1 and made["per_source"] == {"pairs": 1}
    vocabulary = Vocabulary.build([text for row in rows for text in row[:2]], max_size=200)
    config = BackboneConfig(vocab_size=len(vocabulary), hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, max_positions=64)
    SimBERT(Backbone(config), Tokenizer(vocabulary)).save("simbert")
    options = ["--no-rules", "--pool", "pairs.jsonl", "--generate", "4", "--model", "simbert"]
    made = report("data", "paraphrase", "q.json", "--out", "o.jsonl", *options, "--threshold", "-1", "--most", "50")
    found = json.loads(Path("o.jsonl").read_text(encoding="utf-8"))["paraphrases"]
    assert {one["text"] for one in found if one["source"] == "pool"} == {"2条船是谁造的", "谁买了2条船"}
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True) and all(-1 <= score <= 1 for score in scores)
    assert report("data", "paraphrase", "q.json", "--out", "o.jsonl", *options, "--threshold", "1")["paraphrases"] <= made["paraphrases"]
