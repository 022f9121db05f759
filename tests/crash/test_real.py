"""The same of the real verbs on a few sample records: train with its features, preprocess, predict; and resumes with other data or settings."""

import random
import shutil
import zipfile

import pytest

from .rounds import KILL, ROOT, by_kind, differing, go, outcome, spread, train_to_the_end
from .test_crash import FEW, SEED

SAMPLES = ROOT / "data" / "samples" / "event"
SMALL = (
    *("encoder.num_layers=1", "encoder.hidden_size=8", "encoder.num_heads=2", "encoder.intermediate_size=16", "encoder.dropout=0.1"),
    *("encoder.attention_dropout=0.1", "training.epochs=2", "training.accumulation=2", "training.replacement_rows=0.5", "training.rdrop=1"),
    *("training.ema_decay=0.9", "training.checkpoint_steps=2", "training.batch_tokens=600"),
)


def sets(values):
    return [word for value in values for word in ("--set", value)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 training records, 8 of dev, 12 to predict."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copy(SAMPLES / "schema.json", folder)
    for split, count in (("train", 40), ("dev", 8), ("test1", 12)):
        lines = (SAMPLES / f"{split}.json").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{split}.json").write_text("".join(lines[:count]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def options(data):
    return ["--recipe", "quick", "--data", str(data), *sets(SMALL)]


@pytest.fixture(scope="module")
def real(servers, options, tmp_path_factory):
    """(folder of an uninterrupted run and its cache, the points it passes)."""
    place = tmp_path_factory.mktemp("real")
    told = servers[0].ask(place, ["train", "event", "--run", "run", *options])
    assert told["code"] == 0, told["err"]
    return place, told["points"]


# -- train ---------------------------------------------------------------------------------------------------------


def test_a_killed_lic_train_goes_on_as_if_nothing_had_happened(servers, real, options, tmp_path):
    place, points = real
    wanted = outcome(place / "run")
    draws = random.Random(SEED)
    runs = [number for number, point in enumerate(points, 1) if " run/" in point]
    plans = [[{"signals": {number: KILL}}] for number in draws.sample(runs, FEW // 2)]
    kinds = by_kind([point for point in points if "data/cache" in point])
    assert any(kind.startswith("within write data/cache") for kind in kinds), sorted(kinds)

    def check(server, place, plan):
        told = train_to_the_end(server, place, options, plan)
        assert [one["signal"] for one in told] == [KILL, None], told[-1]["err"]
        assert not (different := differing(outcome(place / "run"), wanted)), different

    faults = go(servers, tmp_path, plans, check)
    assert not faults, "\n".join(faults)


@pytest.fixture
def killed(servers, real, options, tmp_path):
    """A run that was killed after its first checkpoint."""
    place, points = real
    shutil.copytree(place / "data", tmp_path / "data")
    told = servers[0].ask(
        tmp_path, ["train", "event", "--run", "run", *options], signals={points.index("before fsync-folder run/checkpoints") + 2: KILL}
    )
    assert told["signal"] == KILL
    return tmp_path


def test_resume_with_other_settings_or_data(killed, servers, data, real, tmp_path_factory):
    server, resume = servers[0], ["train", "event", "--run", "run", "--resume"]
    for word, said in (("training.epochs=3", "training.epochs = 2.0, asked for 3.0"), ("training.seed=1", "training.seed = 42, asked for 1")):
        told = server.ask(killed, [*resume, "--set", word])
        assert told["code"] == 2 and "[LIC-U022]" in told["err"] and said in told["err"]
    told = server.ask(killed, [*resume, "--recipe", "small"])
    assert told["code"] == 2 and "[LIC-U022]" in told["err"]
    told = server.ask(killed, ["train", "relation", "--run", "run", "--resume"])
    assert told["code"] == 2 and "[LIC-U005]" in told["err"]
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(data, other, dirs_exist_ok=True)
    lines = (other / "train.json").read_text(encoding="utf-8").splitlines(keepends=True)
    (other / "train.json").write_text("".join(reversed(lines)), encoding="utf-8")
    told = server.ask(killed, [*resume, "--data", other])
    assert told["code"] == 2 and "[LIC-K005]" in told["err"] and "another train.json than the run began with" in told["err"]
    told = server.ask(killed, [*resume, "--recipe", "quick", *sets(SMALL)])  # its own, said again
    assert told["code"] == 0 and "resumed at step " in told["err"], told["err"]
    assert not (different := differing(outcome(killed / "run"), outcome(real[0] / "run"))), different


# -- features ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [{}, {"chunk_bytes": 4000}], ids=["whole", "in chunks"])
def test_a_killed_preprocess_leaves_nothing_that_is_used(chunks, servers, options, tmp_path):
    verb = ["preprocess", "event", *options, "--workers", "1"]

    def made(place):
        return {path.relative_to(place): path.read_bytes() for path in (place / "data").glob("cache/event/[!.]*/*") if path.is_file()}

    whole = tmp_path / "whole"
    whole.mkdir()
    told = servers[0].ask(whole, verb, **chunks)
    assert told["code"] == 0, told["err"]
    wanted, points = made(whole), told["points"]
    assert len({path.parent for path in wanted}) == 2

    def check(server, place, number):
        told = server.ask(place, verb, signals={number: KILL}, **chunks)
        assert told["signal"] == KILL
        assert all(wanted[path] == content for path, content in made(place).items())  # whole or absent
        told = server.ask(place, verb, **chunks)
        assert told["code"] == 0 and "[LIC-" not in told["err"], told["err"]
        assert made(place) == wanted

    faults = go(servers, tmp_path, spread(points, FEW, random.Random(SEED)), check)
    assert not faults, "\n".join(faults)


# -- submissions ---------------------------------------------------------------------------------------------------


def pairs(folder):
    """Zip and bare file by name, without what stands aside."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}


def member(packed):
    import io

    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return archive.read("duee.json")


@pytest.mark.parametrize("out", [None, "mine.zip"])
def test_a_killed_predict_leaves_the_earlier_submission_or_the_new_one(out, servers, real, data, tmp_path):
    """At every point of its writing: each zip whole, beside it its own bare file or none, the earlier one never lost; then again."""
    place, _ = real
    few = tmp_path / "few.json"
    few.write_text("".join((data / "test1.json").read_text(encoding="utf-8").splitlines(keepends=True)[:5]), encoding="utf-8")
    verb = ["predict", "event", "--run", str(place / "run"), *(["--out", out] if out else [])]
    name = out or "submissions/duee.zip"
    earlier, late = [*verb, "--input", str(few)], [*verb, "--input", str(data / "test1.json")]

    def written(place, arguments, **more):
        told = servers[0].ask(place, arguments, **more)
        assert told["code"] == 0, told["err"]
        return pairs((place / name).parent), told["points"]

    base = tmp_path / "base"
    base.mkdir()
    old, _ = written(base, earlier)
    shutil.copytree(base, tmp_path / "after")
    new, points = written(tmp_path / "after", late)
    main, bare = name.rpartition("/")[2], name.rpartition("/")[2].replace(".zip", ".json")
    assert set(old) == {main, bare} and new[main] != old[main]
    assert out is not None or {new["duee-1.zip"], new["duee-1.json"]} == set(old.values())
    placing = [number for number, point in enumerate(points, 1) if " write " not in point and " fsync " not in point]
    plans = placing if FEW > 4 else random.Random(SEED).sample(placing[-20:], 6)

    def check(server, place, number):
        shutil.copytree(base, place, dirs_exist_ok=True)
        told = server.ask(place, late, signals={number: KILL})
        assert told["signal"] == KILL
        there = pairs((place / name).parent)
        for zip_name in (one for one in there if one.endswith(".zip")):
            assert there[zip_name] in (old[main], new[main]), f"{zip_name} is neither the earlier nor the new one"
            own = there.get(zip_name.replace(".zip", ".json"))
            assert own is None or own == member(there[zip_name]), f"{zip_name} has another's bare file beside it"
        assert main in there, f"{main} is gone"
        assert out is not None or old[main] in there.values(), "the earlier zip is lost"
        told = server.ask(place, late)
        assert told["code"] == 0, told["err"]
        assert pairs((place / name).parent) == new

    faults = go(servers, tmp_path, plans, check)
    assert not faults, "\n".join(faults)


def test_a_damaged_weights_file_is_told(servers, real, data, tmp_path):
    shutil.copytree(real[0] / "run", tmp_path / "run")
    weights = tmp_path / "run" / "weights.safetensors"
    whole = weights.read_bytes()
    verb = ["predict", "event", "--run", "run", "--input", str(data / "test1.json")]
    for damaged, code in ((whole[: len(whole) // 2], "LIC-K001"), (whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], "LIC-K003"), (b"", "LIC-K001")):
        weights.write_bytes(damaged)
        told = servers[0].ask(tmp_path, verb)
        assert told["code"] == 2 and told["err"].count("[LIC-") == 1 and f"run/weights.safetensors: [{code}]" in told["err"], told["err"]
        assert not (tmp_path / "submissions").exists()
