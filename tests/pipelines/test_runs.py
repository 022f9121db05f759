"""Runs as a person finds them: listed, whole and damaged, and compared."""

import json
import re
import shutil
import statistics

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from pipelines.run_figures import describe_run, in_order, read_lines
from pipelines.runs import app, compare_runs, find_named_run, list_runs, summaries
from shared.errors import InputError


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(folder, *, track="event", steps=10, scores=(0.2, 0.5, 0.4), seed=42, epochs=2.0, finished=True, **settings):
    """A run folder as training leaves it: an evaluation after equal parts of the steps, half a second a step."""
    folder.mkdir(parents=True)
    data = {"folder": "/data", "train": "train.json sha256:aa", "dev": "dev.json sha256:bb"}
    training = {"epochs": epochs, "seed": seed, "learning_rate": 1e-4, **settings}
    config = {"run": {"track": track, "encoder": "scratch", "data": data}, "recipe": {"training": training, "model": {"name": "crf"}}}
    (folder / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
    metrics, timing, best = [], [], None
    for step in range(1, steps + 1):
        epoch = round(step / steps * epochs, 4)
        metrics.append({"step": step, "epoch": epoch, "loss": 1 / step, "rate": 0.1, "grad_norm": 2.0})
        timing.append({"step": step, "seconds": 0.5, "tokens": 100, "padded_tokens": 120})
        if scores and step % (steps // len(scores)) == 0 and step // (steps // len(scores)) <= len(scores):
            f1 = scores[step // (steps // len(scores)) - 1]
            metrics.append({"step": step, "epoch": epoch, "dev": {"precision": f1 + 0.1, "f1": f1}})
            timing.append({"step": step, "evaluation_seconds": 5.0, "peak_memory_mib": 100})
            if best is None or f1 > best["dev"]["f1"]:
                best = metrics[-1]
    (folder / "metrics.jsonl").write_text(lines(metrics), encoding="utf-8")
    (folder / "timing.jsonl").write_text(lines(timing), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps({"device": "cpu", "packages": {"numpy": "1.26.4"}}), encoding="utf-8")
    if best:
        (folder / "best.json").write_text(json.dumps(best), encoding="utf-8")
        (folder / "weights.safetensors").write_bytes(b"")
    if finished:
        (folder / "finished.json").write_text(json.dumps({"step": steps, "steps": steps}), encoding="utf-8")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def lic_runs(*arguments):
    """``lic runs`` by its own typer group: 0, or the exception that the command's frame turns into a message."""
    return get_command(app).main(list(map(str, arguments)), standalone_mode=False, prog_name="lic runs")


def test_a_run_says_what_it_reached(place):
    write(place / "event" / "small")
    (row,) = list_runs()
    assert {name: row[name] for name in ("track", "name", "state", "steps", "planned", "seed", "problems", "group")} == {
        "track": "event",
        "name": "small",
        "state": "finished",
        "steps": 10,
        "planned": 10,
        "seed": 42,
        "problems": [],
        "group": None,
    }
    assert (row["score_name"], row["score"], row["best_step"], row["best"]) == ("f1", 0.5, 6, {"precision": 0.6, "f1": 0.5})
    assert (row["final_step"], row["final"]["f1"]) == (9, 0.4)
    assert row["minutes"] == round((10 * 0.5 + 3 * 5) / 60, 2) and row["tokens_per_second"] == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row["date"]) and row["folder"] == "runs/event/small"


def test_runs_stand_in_order_of_track_and_counted_names(place):
    for name in ("relation/small", "event/small-10", "event/small-2", "event/small", "event/cv/fold-10", "event/cv/fold-9", "event/cv/seed-1"):
        write(place / name, track=name.split("/")[0])
    write(place / "elsewhere", track="reading")
    (place / "event" / ".small.part").mkdir()
    (place / "event" / "notes.txt").write_text("", encoding="utf-8")
    assert [f"{row['track']}/{row['name']}" for row in list_runs()] == [
        "event/cv/fold-9",
        "event/cv/fold-10",
        "event/cv/seed-1",
        "event/small",
        "event/small-2",
        "event/small-10",
        "reading/elsewhere",
        "relation/small",
    ]
    assert {row["track"] for row in list_runs(track="event")} == {"event"} and len(list_runs(track="event")) == 6
    with pytest.raises(InputError, match="LIC-T001"):
        list_runs(track="evnt")


@given(st.lists(st.text(alphabet="a-0129٣²é", max_size=6), unique=True, max_size=6), st.randoms())
def test_any_names_have_one_order(names, random):
    ordered = sorted(names, key=in_order)
    random.shuffle(names)
    assert {*sorted(names, key=in_order)} == {*ordered} and [in_order(name) for name in sorted(names, key=in_order)] == [
        in_order(name) for name in ordered
    ]


def test_states_and_the_steps_to_come(place):
    write(place / "event" / "a", finished=False, scores=())
    write(place / "event" / "b", finished=False, steps=7)
    (place / "event" / "b" / "metrics.jsonl").write_text(lines([{"step": 7, "epoch": 0.5, "loss": 1.0}]), encoding="utf-8")
    shutil.rmtree(place / "event" / "b" / "best.json", ignore_errors=True)
    write(place / "event" / "c", finished=False, steps=0, scores=())
    rows = {row["name"]: row for row in list_runs()}
    assert (rows["a"]["state"], rows["a"]["score"], rows["a"]["planned"]) == ("unfinished", None, 10)
    assert (rows["b"]["state"], rows["b"]["steps"], rows["b"]["planned"]) == ("unfinished", 7, 28)  # a quarter of two epochs
    assert (rows["c"]["state"], rows["c"]["steps"], rows["c"]["planned"], rows["c"]["minutes"]) == ("not started", 0, None, None)
    assert not any(row["problems"] for row in rows.values())


def test_an_epoch_too_small_to_tell_the_steps_tells_none(place):
    folder = write(place / "event" / "a", finished=False)
    (folder / "metrics.jsonl").write_text(lines([{"step": 1, "epoch": 0.0003, "loss": 1.0}]), encoding="utf-8")
    assert describe_run(folder)["planned"] is None


def test_time_spent_twice_counts_and_a_torn_last_line_does_not(place):
    folder = write(place / "event" / "a")
    with open(folder / "timing.jsonl", "a", encoding="utf-8") as file:
        file.write('{"resumed_at": 9}\n{"step": 10, "seconds": 1.5, "tokens": 100, "padded_tokens": 120}\n{"step": 11, "sec')
    row = describe_run(folder)
    assert row["problems"] == [] and row["minutes"] == round((5 + 1.5 + 15) / 60, 2) and row["tokens_per_second"] == round(1100 / 6.5, 1)


DAMAGE = {
    "config.toml": [(None, "no config.toml"), (b"[run", "config.toml cannot be read"), (b"\xff", "config.toml"), (b"a = 1", "no key 'run'")],
    "metrics.jsonl": [
        (b'{"step": 1, "loss": 1.0}\nx\n{}\n', "metrics.jsonl:2 is no JSON object"),
        (b"[1]\n", "metrics.jsonl:1"),
        (b"{}\n", "1 lines"),
    ],
    "timing.jsonl": [(b"\x00\n", "timing.jsonl:1 is no JSON object"), (b"1\n2\n", "timing.jsonl:1")],
    "best.json": [(None, "no best.json beside"), (b"{", "best.json cannot be read"), (b"[]", "no JSON object"), (b'{"dev": 1}', "no score")],
    "finished.json": [(b"\xff", "finished.json cannot be read")],
    "weights.safetensors": [(None, "no weights.safetensors")],
}


@pytest.mark.parametrize(("file", "content", "said"), [(file, *case) for file, cases in DAMAGE.items() for case in cases])
def test_a_damaged_run_is_listed_with_what_is_wrong(place, capfd, file, content, said):
    whole, broken = write(place / "event" / "a"), write(place / "event" / "b")
    (broken / file).unlink()
    if content is not None:
        (broken / file).write_bytes(content)
    rows = list_runs()
    assert [row["state"] for row in rows] == ["finished", "damaged"]
    assert len(rows[1]["problems"]) >= 1 and any(said in problem for problem in rows[1]["problems"])
    assert rows[0] == {**describe_run(whole, "event", "a"), "folder": "runs/event/a"}
    lic_runs()
    assert said in capfd.readouterr().out


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=4) | st.dictionaries(st.just("f1"), scalars)
names_in_files = st.sampled_from(["step", "epoch", "loss", "dev", "seconds", "tokens", "evaluation_seconds", "steps"])
row_of_anything = st.dictionaries(names_in_files, anything)


@settings(max_examples=60, deadline=None)
@given(st.lists(row_of_anything, max_size=4), row_of_anything, row_of_anything)
def test_no_content_of_the_files_stops_the_list(tmp_path_factory, log, best, finished):
    root = tmp_path_factory.mktemp("any") / "runs"
    folder = write(root / "event" / "a")
    for file in ("metrics.jsonl", "timing.jsonl"):
        (folder / file).write_text(lines(log), encoding="utf-8")
    (folder / "best.json").write_text(json.dumps(best), encoding="utf-8")
    (folder / "finished.json").write_text(json.dumps(finished), encoding="utf-8")
    (row,) = list_runs(root)
    assert row["name"] == "a"
    lic_runs("--root", root)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5)), max_size=6), st.binary(max_size=5))
def test_a_log_comes_back_whatever_it_ends_in(tmp_path_factory, rows, torn):
    path = tmp_path_factory.mktemp("log") / "x.jsonl"
    path.write_bytes(lines(rows).encode() + torn.replace(b"\n", b""))
    assert read_lines(path).rows == rows and read_lines(path).fault is None


def test_folds_and_seeds_are_summed_up(place, capfd):
    scores = [0.7431, 0.7502, 0.7388]
    for index, score in enumerate(scores, 1):
        write(place / "event" / "small" / f"fold-{index}", scores=(score,))
    write(place / "event" / "small" / "fold-4", scores=(), finished=False)
    write(place / "event" / "one" / "seed-1", scores=(0.5,))
    write(place / "event" / "none" / "seed-1", scores=())
    found = {group["name"]: group for group in summaries(list_runs())}
    assert found["small"]["mean"] == statistics.fmean(scores) and found["small"]["deviation"] == statistics.stdev(scores)
    assert (found["small"]["members"], found["small"]["scored"]) == (4, 3) and found["one"]["deviation"] is None
    lic_runs()
    out = capfd.readouterr().out
    assert "small: 4 runs, dev f1 0.7440 ± 0.0058 (mean ± standard deviation of 3)" in out
    assert "one: 1 run, dev f1 0.5000 (mean)" in out and "none: 1 run, none evaluated" in out


def test_a_missing_member_is_listed(place):
    write(place / "event" / "small" / "fold-1")
    (place / "event" / "small" / "fold-2").mkdir()
    assert [(row["name"], row["state"]) for row in list_runs()] == [("small/fold-1", "finished"), ("small/fold-2", "damaged")]


def test_the_list_fits_a_hundred_columns(place, capfd):
    for index in range(12):
        write(place / "relation" / f"casrel-large-{index}", track="relation", finished=index % 2 == 0)
    lic_runs()
    out = capfd.readouterr().out.splitlines()
    assert out[0].strip() == "relation: 12 runs" and out[1].split()[:4] == ["run", "state", "steps", "dev"]
    assert len(out) == 14 and all(len(line.rstrip()) <= 100 for line in out)
    (row,) = (line for line in out if line.startswith("casrel-large-3 "))
    assert re.fullmatch(r"casrel-large-3 +unfinished +10/10 +0.5000 +6 +42 +\d{4}-\d\d-\d\d +0.3 +200 *", row)


def test_in_a_pipe_a_run_stays_one_line_however_long_its_name(place, capfd):
    name = "a-rather-long-name-of-a-recipe-" * 4
    write(place / "relation" / name, track="relation")
    lic_runs()
    (row,) = (line for line in capfd.readouterr().out.splitlines() if name in line)
    assert row.rstrip().endswith("200")


def test_a_run_that_evaluates_nothing_is_whole(place):
    folder = write(place / "event" / "all", scores=())
    (folder / "best.json").write_text('{"step": 10, "epoch": 2.0, "dev": {}}', encoding="utf-8")
    (row,) = list_runs()
    assert row["problems"] == [] and row["state"] == "finished" and row["score"] is None and row["best_step"] == 10


def test_json_has_all_of_it(place, capfd):
    write(place / "event" / "small" / "seed-1")
    lic_runs("--json")
    report = json.loads(capfd.readouterr().out)
    assert report["runs"] == list_runs() and report["groups"] == summaries(list_runs())


def test_no_runs_is_no_fault(place, capfd):
    lic_runs()
    out, err = capfd.readouterr()
    assert out == "" and err == "no run under runs; train one: lic train TRACK\n"
    lic_runs("--json")
    assert json.loads(capfd.readouterr().out) == {"runs": [], "groups": []}


# -- two runs ----------------------------------------------------------------------------------------------------


def test_only_what_differs_is_compared_but_every_score(place):
    write(place / "event" / "a")
    b = write(place / "event" / "b", seed=7, scores=(0.3, 0.6, 0.55), clip_norm=1.0)
    environment = json.dumps({"device": "gpu:0", "packages": {"numpy": "1.26.4", "paddlenlp": "2.8.1"}})
    (b / "environment.json").write_text(environment, encoding="utf-8")
    (b / "config.toml").write_text((b / "config.toml").read_text(encoding="utf-8").replace("sha256:bb", "sha256:cc"), encoding="utf-8")
    report = compare_runs("event/a", b)
    assert report["track"] == "event"
    assert report["config"] == {"training.seed": [42, 7], "training.clip_norm": [None, 1.0]}
    assert report["data"] == {
        "folder": ["/data", "/data"],
        "train": ["train.json sha256:aa"] * 2,
        "dev": ["dev.json sha256:bb", "dev.json sha256:cc"],
    }
    assert report["packages"] == {"device": ["cpu", "gpu:0"], "paddlenlp": [None, "2.8.1"]}
    assert report["best"] == {"precision": [0.6, pytest.approx(0.7)], "f1": [0.5, 0.6]} and report["final"]["f1"] == [0.4, 0.55]
    assert (report["a"]["name"], report["b"]["name"]) == ("a", "b")


def test_the_comparison_is_shown(place, capfd):
    write(place / "event" / "a")
    write(place / "event" / "b", seed=7, scores=(0.3, 0.6, 0.55))
    lic_runs("compare", "event/a", "event/b")
    out = capfd.readouterr().out
    assert re.search(r"best f1 +0.5000 +0.6000 +\+0.1000", out) and re.search(r"training.seed +42 +7", out)
    assert "the same data: folder, train, dev" in out and "the same packages and machine" in out and "learning_rate" not in out
    lic_runs("compare", "event/a", "runs/event/b", "--json")
    assert json.loads(capfd.readouterr().out) == compare_runs("event/a", "event/b")


def test_a_run_with_itself_differs_in_nothing(place):
    write(place / "event" / "a")
    report = compare_runs("event/a", place / "event" / "a")
    assert report["config"] == report["packages"] == {} and all(a == b for pairs in (report["best"], report["data"]) for a, b in pairs.values())


def test_what_cannot_be_compared_is_refused_in_one_line(place):
    write(place / "event" / "a")
    write(place / "relation" / "a", track="relation")
    write(place / "event" / "cv" / "fold-1")
    damaged = write(place / "event" / "damaged")
    (damaged / "config.toml").write_text("[run", encoding="utf-8")
    for other, code, said in (
        ("relation/a", "LIC-U030", "runs/event/a of track event and runs/relation/a of track relation"),
        ("event/none", "LIC-U004", "'event/none', which is no run"),
        ("event/cv", "LIC-U004", "e.g. runs/event/cv/fold-1"),
        ("event/damaged", "LIC-U004", "config.toml"),
    ):
        with pytest.raises(InputError) as caught:
            compare_runs("event/a", other)
        (problem,) = caught.value.problems
        assert problem.code == code and said in str(problem) and "\n" not in str(problem)


def test_a_path_goes_before_a_name(place, tmp_path):
    named, path = write(place / "event" / "a"), write(tmp_path / "event" / "a")
    assert find_named_run("event/a") == path.relative_to(tmp_path) and find_named_run("runs/event/a") == named.relative_to(tmp_path)


def test_a_real_run_is_listed_and_compared(trained, monkeypatch, tmp_path, capfd):
    shutil.copytree(trained() / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    (row,) = list_runs()
    assert row["problems"] == [] and row["steps"] == row["planned"] > 0 and row["score_name"] == "f1" and row["tokens_per_second"] > 0
    assert compare_runs("event/quick", "event/quick")["config"] == {}
