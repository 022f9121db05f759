"""What the process is told before paddle comes; each case in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.environment import prepare, usable_cores

ROOT = Path(__file__).parents[2]
OURS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LIC_THREADS", "MKL_DEBUG_CPU_TYPE", "GLOG_minloglevel")


def run(code, **environment):
    """What the code prints as JSON, in a fresh interpreter with none of our variables but those given."""
    clean = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(
        [sys.executable, "-c", f"import json, os, sys\n{code}"],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


REPORT = """
from shared.environment import prepare
threads = prepare().threads
print(json.dumps([threads, os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]]))
"""


@pytest.mark.parametrize(
    ("environment", "threads"),
    [({}, None), ({"OMP_NUM_THREADS": "3"}, 3), ({"LIC_THREADS": "5"}, 5), ({"LIC_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5)],
)
def test_threads(environment, threads):
    threads = threads or usable_cores()
    assert run(REPORT, **environment) == [threads, str(threads), str(threads)]


def test_what_the_user_set_stays():
    code = (
        "from shared.environment import prepare\ne = prepare()\nprint(json.dumps([e.mkl_debug_cpu_type, os.environ['GLOG_minloglevel']]))"
    )
    assert run(code, MKL_DEBUG_CPU_TYPE="4", GLOG_minloglevel="0") == ["4", "0"]


def test_prepare_is_idempotent():
    code = """
from shared.environment import prepare
first = prepare(2).as_dict(); before = dict(os.environ)
second = prepare().as_dict()
print(json.dumps([first == second, before == dict(os.environ), first["threads"]]))
"""
    assert run(code) == [True, True, 2]


def test_import_shared_prepares_and_imports_nothing():
    code = """
before = dict(os.environ)
import shared
heavy = {"paddle", "paddlenlp", "pandas", "numpy", "typer", "tokenizers"} & set(sys.modules)
print(json.dumps([before == dict(os.environ), sorted(heavy)]))
"""
    assert run(code) == [True, []]


def test_environment_imports_zlib_and_not_paddle():
    assert run("import shared.environment\nprint(json.dumps(['zlib' in sys.modules, 'paddle' in sys.modules]))") == [True, False]


def test_late_calls_say_so():
    code = "sys.modules['paddle'] = None\nfrom shared.environment import prepare\nprint(json.dumps(prepare().paddle_was_imported))"
    assert run(code) is True


def test_thread_counts_that_make_no_sense(monkeypatch):
    with pytest.raises(ValueError, match="found 0"):
        prepare(0)
    for asked in ("many", "1.5", "-1", "²"):
        monkeypatch.setenv("LIC_THREADS", asked)
        with pytest.raises(ValueError, match=asked):
            prepare()
