"""Every command of the READMEs runs: in order, in one folder, on archives made of the sample, with trainings cut short."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import httpx
import pytest

from pipelines.cli import run
from tasks.recipe import tomllib

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
SHORT = ["--set", "training.epochs=0.5", "--set", "training.max_records=60"]
ARCHIVES = {"event": "DuEE1.0.zip", "relation": "DuIE2.0.zip", "reading": "dureader_robust-data.tar.gz"}


def blocks(text, language=""):
    return [block for named, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if named == language]


def commands(text):
    """Lines of the shell blocks without their comments."""
    return [line.split("  #")[0].rstrip() for block in blocks(text) for line in block.splitlines() if line.strip()]


def usage(line):
    """A line of the command reference, with placeholders, rather than one to type."""
    return line == "lic doctor" or re.search(r"\b[A-Z]{3,}\b|\[", re.sub(r'"[^"]*"', "", line)) is not None


def test_both_say_the_same():
    assert commands(ENGLISH) == commands(CHINESE)
    assert [re.sub(r" *#.*", "", block) for block in blocks(ENGLISH, "python")] == [
        re.sub(r" *#.*", "", block) for block in blocks(CHINESE, "python")
    ]
    for pattern in (r"!?\]\(([^)]*)\)", r"(?<![\d.])\.\d{2,4}\b", r"`([^`\n]+)`"):
        mine, theirs = (re.findall(pattern, re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)) for text in (ENGLISH, CHINESE))
        assert sorted({found.replace(".zh-CN.md", ".md") for found in mine}) == sorted({found.replace(".zh-CN.md", ".md") for found in theirs})
    assert ENGLISH.count("\n## ") == CHINESE.count("\n## ")


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]*)\)", ENGLISH + CHINESE):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def test_make_knows_its_targets_and_pip_its_extras():
    words = set(re.findall(r"\bmake (\w+)", ENGLISH)) | {"test", "check", "demo"}
    for word in words:
        subprocess.run(["make", "--dry-run", word], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    installs = re.findall(r"pip install -c (\S+) (?:-e )?\"\.\[(\w+)\]\"", ENGLISH)
    assert len(installs) == 2
    for constraints, extra in installs:
        assert (ROOT / constraints).is_file() and extra in extras


@pytest.mark.parametrize("line", [line for line in commands(ENGLISH) if usage(line)])
def test_usage_lines_name_options_that_exist(line, capfd):
    verb = [word for word in line.split("[")[0].split()[1:] if word.islower() and not word.startswith("-")]
    assert run([*verb, "--help"]) == 0
    helped = capfd.readouterr().out
    for option in re.findall(r"--[a-z-]+", line):
        assert option in helped


def test_python_of_the_parts_runs(tmp_path):
    code = "\n".join(blocks(ENGLISH, "python"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    assert "(7, 'LUMO')" in done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the archives that the walk-through imports, and a BERT folder (a run of ours)."""
    folder = tmp_path_factory.mktemp("readme")
    for track, name in ARCHIVES.items():
        source = ROOT / "data" / "samples" / track
        files = [path for path in source.iterdir() if path.name in ("train.json", "dev.json", "test1.json", "schema.json")]
        if name.endswith(".zip"):
            with zipfile.ZipFile(folder / name, "w") as archive:
                for path in files:
                    archive.write(path, f"{track}/{path.name}")
        else:
            with tarfile.open(folder / name, "w:gz") as archive:
                for path in files:
                    archive.add(path, f"dureader_robust-data/{path.name}")
    return folder


def answer_of_the_service(words):
    """Serves as the README says and asks as it says, on a free port."""
    (request,) = blocks(ENGLISH, "sh")
    told = [*words, "--port", "0"]
    with subprocess.Popen([sys.executable, "-m", "pipelines.cli", *told[1:]], stderr=subprocess.PIPE, encoding="utf-8", cwd=Path.cwd()) as process:
        try:
            said = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert address, said + process.stderr.read()
            _, body = shlex.split(request)[-2:]
            answer = httpx.post(f"{address[0]}/extract", content=body, headers={"content-type": "application/json"}, timeout=60)
            assert answer.status_code == 200 and len(answer.json()["found"]) == 1 and "http://127.0.0.1:8020/extract" in request
        finally:
            process.terminate()


def test_the_commands_run_in_order(place, monkeypatch, capfd):
    monkeypatch.chdir(place)
    lines = [line for line in commands(ENGLISH) if not usage(line)]
    inline = [words for words in re.findall(r"`(lic [^`]+)`", ENGLISH) if not usage(words) and "TRACK" not in words and "--alias" not in words]
    done = 0
    for line in ["make demo", *[line for line in lines if line != "make demo"], *inline]:
        words = shlex.split(line)
        if line == "make demo":
            words = ["lic", "demo", "--folder", "lic-demo"]
        if words[0] == "cd":
            monkeypatch.chdir(Path.cwd() / words[1])
            continue
        if words[0] == "." or line == "lic demo":  # make demo ran it
            continue
        if words[1] == "serve" and "--help" not in words:
            answer_of_the_service(words)
            continue
        assert words[0] == "lic"
        more = []
        if words[1] in ("demo", "train"):
            more = SHORT
        if words[1] == "train" and "--recipe" not in words:
            more = ["--recipe", "quick", *SHORT]
        if "encoder.source=models/bert" in words or "encoder.source=runs/pretraining/mlm" in words:
            shutil.copytree("lic-demo/runs/event/quick", "models/bert", dirs_exist_ok=True)
            more = [*SHORT, "--set", "encoder.num_layers=1", "--set", "features.window=126"]
        if words[1] == "pretrain":
            more += ["--set", "model.held_out=0.1"]
            rows = (ROOT / "data/samples/event/train.json").read_text(encoding="utf-8").splitlines()[:80]
            Path("corpus.txt").write_text("".join(json.loads(row)["text"] + "\n" for row in rows), encoding="utf-8")
        if "--devices" in words:
            words += ["--backend", "gloo"]
        if "flat" in line:
            more = ["--recipe", "quick", *SHORT, "--set", "training.epochs=0.2"]
        code = run([*words[1:], *more])
        said = capfd.readouterr()
        assert code == 0, f"{line}\n{said.err}"
        done += 1
    assert done > 25
    assert {path.name for path in Path("submissions").iterdir()} >= {"duie.zip", "duee.zip", "reading.zip"}
    assert (place / "lic-demo" / "film.svg").is_file()
