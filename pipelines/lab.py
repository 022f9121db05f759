"""``lic lab``: the articles' claims as experiments that anyone can run again."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.errors import input_error

from .console import emit_json, listing, say

if TYPE_CHECKING:
    from .labs.work import Lab

LABS_FOLDER = Path("labs")


@dataclass(frozen=True)
class Entry:
    """A lab in the list.

    ``cost``: measured of the whole form with the bundled sample, beside other work; ``real``: about, with contest data as docs/results.md has it.
    """

    shows: str
    article: int
    cost: str
    real: str


LABS = {
    "exposure-bias": Entry("why a wider beam can be worse; replaced inputs and the gradient penalty on titles", 7259, "33 min", "2.5 h"),
    "gelu": Entry("where 0.044715 and 1.702 come from; the three forms in one encoder", 7309, "11 min", "20 min"),
    "adax": Entry("the second moment that forgets nothing; AdamW, AdaX and AdaX-W over a grid of rates", 7387, "19 min", "40 min"),
    "synthesizer": Entry("attention without queries and keys: parameters, time, scores, what is learnt", 7430, "28 min", "40 min"),
    "simbert": Entry("one encoder that finds and writes questions of the same meaning", 7427, "4 min", "50 min"),
    "eae": Entry("an autoencoder whose codes become normal by entropy; beside VAE and AE, on digits", 7343, "6 min", "-"),
    "vae-geometry": Entry("points that become ellipses and fill the disc; sentences between two sentences", 7725, "4 min", "-"),
    "unilm": Entry("the mask that reads and writes; what a cache saves", 7427, "7 min", "-"),
    "tracks": Entry("the articles' baselines beside our models, at the same budget", 7321, "40 min", "10 h"),
}


def lab(
    name: str,
    *,
    quick: bool = False,
    data: Path | None = None,
    out: Path | None = None,
    overrides: tuple[str, ...] = (),
    fresh: bool = False,
) -> Path:
    """Runs a lab, or goes on with it, and returns its folder: metrics.json, figures, README.md.

    ``data``: a folder that holds one folder a track (default: the bundled sample); ``out``: default ``labs/NAME``, with ``quick``
    ``labs/NAME-quick``. ``fresh`` forgets what is there. Raises InputError for an unknown name or setting, and for a folder of other settings.
    """
    from shared.locks import FolderLock
    from tasks.recipe import parse_overrides

    from .demo import samples_folder
    from .labs.work import REPORT, open_work

    found = open_lab(name)
    table: dict[str, Any] = dict(found.quick) if quick else {}
    settings = parse_overrides(found.settings, table, overrides)
    folder = out or LABS_FOLDER / (f"{name}-quick" if quick else name)
    if folder.is_file():
        raise input_error("LIC-L001", file=folder, found="a file", expected="a folder for the lab", remedy="Give another with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder):
        work = open_work(name, found, settings, data=data or samples_folder(), folder=folder, quick=quick, fresh=fresh)
        try:
            found.run(work)
        except KeyboardInterrupt:
            say(f"lab {name}: stopped; the same command goes on from what {folder} holds.")
            raise
    say(f"lab {name}: wrote {folder / REPORT} and its figures")
    return folder


def open_lab(name: str) -> Lab[Any]:
    """The lab of that name. Raises InputError for another."""
    if name not in LABS:
        raise input_error("LIC-L004", found=f"lab {name!r}", expected=f"one of: {', '.join(LABS)}", remedy="See lic lab.")
    made: Lab[Any] = importlib.import_module(f".labs.{name.replace('-', '_')}", __package__).LAB
    return made


def show_labs() -> None:
    """What there is and what it costs."""
    rows = [[name, entry.shows, str(entry.article), "15 s", entry.cost, entry.real] for name, entry in LABS.items()]
    columns = ["lab", "shows", "article", "--quick", "sample", "contest data"]
    listing("Labs (times on 2 cores of a CPU beside other work)", columns, rows, right=(3, 4, 5))
    print("\nlic lab NAME --quick runs its short form; lic lab NAME --data FOLDER takes your data, one folder a track in it.")


def command(
    name: Annotated[str | None, typer.Argument(help="a lab; without one they are listed")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="its form of some seconds, on the bundled sample: shows that it works")] = False,
    data: Annotated[Path | None, typer.Option(help="folder with one folder a track (event, title, …); default the bundled sample")] = None,
    out: Annotated[Path | None, typer.Option(help="folder to write; default labs/NAME")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. seed=1; repeatable")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="begin anew: empty the lab's folder first")] = False,
    json: Annotated[bool, typer.Option("--json", help="print the metrics as one JSON object instead of the table")] = False,
) -> None:
    """Experiments that show what the components do: figures, a table, a folder to look into."""
    if name is None:
        if quick or data or out or set_ or fresh or json:
            raise input_error("LIC-U023", found="options without a lab", expected="lic lab NAME", remedy=f"Name one of: {', '.join(LABS)}.")
        show_labs()
        return
    options: dict[str, Any] = {"quick": quick, "data": data, "out": out, "overrides": tuple(set_ or ()), "fresh": fresh}
    if not json:
        lab(name, **options)
        return
    import contextlib
    import io
    import json as json_module

    from .labs.work import METRICS

    with contextlib.redirect_stdout(io.StringIO()):
        folder = lab(name, **options)
    emit_json(json_module.loads((folder / METRICS).read_text(encoding="utf-8")))
