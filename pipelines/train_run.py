"""Drives a training: draws its progress, writes figures, checkpoints and the best weights, and leaves a run that can go on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import progress, say, say_problems, training_note

if TYPE_CHECKING:
    from shared.files import LineLog
    from shared.training.loop import Evaluated, Step, Training
    from tasks.recipe import Recipe, TrainingSettings

    from .interrupt import Check


def drive(training: Training, recipe: Recipe, target: Path, check: Check, *, title: str, resume: bool, board: bool = False) -> None:
    """Restores what there is to go on from in the run folder ``target`` (with ``resume``), then trains to the end, as :meth:`Driver.drive` does."""
    from shared.training.run_state import restore
    from shared.training.snapshots import newest_snapshot

    from .interrupt import after_this_step
    from .run_folder import CHECKPOINTS

    driver = Driver(training, target, recipe.training, title, check)
    if resume:
        found = newest_snapshot(target / CHECKPOINTS)
        if found is None:
            say(f"{target} has no checkpoint: training begins anew.")
        else:
            for error in found.passed_over:
                say_problems(error.problems)
            for remark in restore(training, found.state, found.folder):
                say(f"note: {remark}.")
            driver.go_on_from(found.figures)
            say(f"resumed at step {training.progress.step} of {training.order.total_steps}, from {found.folder}")
    _measure(driver, recipe.features.window + 2)
    with after_this_step(check), ExitStack() as stack:
        if board and training.ranks.first:
            from .board import BOARD, Board

            driver.board = stack.enter_context(Board(target / BOARD, after=training.progress.step))
        driver.drive()


def _measure(driver: Driver, window: int) -> None:
    """Gives the driver the machine's peak and what a step costs, to show how much of the one the other uses."""
    from shared.training.throughput import matmul_peak, step_flops

    layer = driver.training.layer
    config = layer.backbone.config
    own = {id(parameter) for parameter in layer.backbone.parameters()}
    head = sum(int(p.size) for p in layer.parameters() if p.ndim == 2 and id(p) not in own)
    driver.peak = matmul_peak()

    def work(event: Any) -> float:
        longest = min(event.padded_tokens // max(event.rows, 1), window)
        return step_flops(config, padded_tokens=event.padded_tokens, sum_of_squared_lengths=event.padded_tokens * longest, head_weights=head)

    driver.work = work


@dataclass
class Driver:
    """One training into the run folder ``target``, whose lock this process holds (rank 0; other ranks write nothing).

    ``check``: tells of a signal. ``work``: FLOP of a step by its event, or None. ``board``: a :class:`pipelines.board.Board`, or None.
    """

    training: Training
    target: Path
    settings: TrainingSettings
    title: str
    check: Check
    work: Any = None
    peak: float | None = None
    board: Any = None
    _figures: bytearray = field(default_factory=bytearray)
    _kept_step: tuple[int, int] = (-1, -1)
    _written: tuple[int, int] = (0, 0)
    _saved: bool = False
    _skipped: int = 0

    def drive(self) -> None:
        """Runs to the end. Raises KeyboardInterrupt or Terminated after a checkpoint when a signal came; WorkError when the training diverged."""
        from shared.training.loop import Step

        from .run_folder import BEST

        training = self.training
        self._saved = (self.target / BEST).is_file() and training.progress.best is not None
        with self._logs() as (metrics, timing), progress(self.title, done_before=training.progress.step) as advance:
            from shared.training.throughput import Throughput

            rates, began, kept = Throughput(peak=self.peak), time.monotonic(), time.monotonic()
            mark = time.monotonic()
            try:
                for event in training.run():
                    now = time.monotonic()
                    if isinstance(event, Step):
                        left = len([step for step in training.evaluations if step > event.step])
                        speed = rates.step(
                            tokens=event.tokens,
                            padded_tokens=event.padded_tokens,
                            flops=self.work(event) if self.work else 0.0,
                            steps_left=event.total_steps - event.step,
                            evaluations_left=left,
                        )
                        self._step(event, metrics, timing, now - mark)
                        note = training_note(loss=event.loss, rate=event.rate, rates=speed, score=training.progress.last_score)
                        advance(event.step, event.total_steps, note, speed.seconds_left)
                    else:
                        rates.evaluated()
                        self._evaluated(event, metrics, timing, now - mark, (now - began) / 60)
                    self._written = self._now
                    if self._is_time(event, kept):
                        self.keep()
                        kept = time.monotonic()
                    rates.restart()
                    self._stop_if_asked()
                    mark = time.monotonic()
            except BaseException as error:
                self._say_what_stays(error)
                raise
        self._finish()

    # -- events ----------------------------------------------------------------------------------------------------

    def _step(self, event: Step, metrics: LineLog | None, timing: LineLog | None, seconds: float) -> None:
        told = {"step": event.step, "epoch": round(event.epoch, 4), "loss": event.loss, "rate": event.rate, "grad_norm": event.grad_norm}
        row: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in (told | dict(event.extra)).items()}  # JSON has no NaN
        if event.skipped:
            row["skipped"] = True
            self._skipped += 1
            say(f"step {event.step}: a float16 gradient overflowed; no weight moved, the loss scale is halved ({self._skipped} so far).")
        self._write(metrics, row)
        spent = {"seconds": round(max(seconds, 0.0), 4), "tokens": event.tokens, "padded_tokens": event.padded_tokens}
        self._time(timing, {"step": event.step, **spent})

    def _evaluated(self, event: Evaluated, metrics: LineLog | None, timing: LineLog | None, seconds: float, minutes: float) -> None:
        from .memory import peak_memory_mib

        row = {"step": event.step, "epoch": round(event.epoch, 4), "dev": event.scores}
        if event.best:
            self._save_best(event.step, event.epoch, event.scores)
        self._write(metrics, row)
        spent = {"evaluation_seconds": round(max(seconds, 0.0), 4), "peak_memory_mib": peak_memory_mib()}
        self._time(timing, {"step": event.step, **spent})
        shown = "  ".join(f"{name} {value:.4f}" for name, value in event.scores.items())
        say(f"epoch {event.epoch:.2f}: dev {shown}{'  (best so far)' if event.best else ''}  after {minutes:.1f} min")
        if event.last:
            say(f"no better score in {self.training.progress.since_best} evaluations: training ends here (training.patience).")

    def _write(self, metrics: LineLog | None, row: dict[str, Any]) -> None:
        if metrics is None:
            return
        metrics.write(**row)
        if self.board is not None:
            self.board.event(row)
        self._figures += (json.dumps(row, ensure_ascii=False) + "\n").encode()

    def _time(self, timing: LineLog | None, row: dict[str, Any]) -> None:
        if timing is None:
            return
        timing.write(**row)
        if self.board is not None:
            self.board.event(row)

    # -- what is kept ----------------------------------------------------------------------------------------------

    def _save_best(self, step: int, epoch: float, scores: Any) -> None:
        """The weights that evaluations see; what they are stands in the file itself, so that file and scores are one step."""
        if not self.training.ranks.first:
            return
        from shared.files import write_json
        from shared.training.checkpoint import save_weights

        from .run_folder import BEST, WEIGHTS

        about = {"step": step, "epoch": round(epoch, 4), "dev": scores}
        with self.training.averages():
            save_weights(self.training.layer, self.target / WEIGHTS, metadata={"best": json.dumps(about, ensure_ascii=False)})
        write_json(self.target / BEST, about)
        self._saved = True

    def keep(self) -> None:
        """Writes a checkpoint, unless the last one is of this very state."""
        from shared.training.run_state import capture
        from shared.training.snapshots import save_snapshot

        from .run_folder import CHECKPOINTS

        training = self.training
        if not training.ranks.first or self._now == self._kept_step:
            return
        if self.board is not None:
            self.board.flush()
        save_snapshot(self.target / CHECKPOINTS, capture(training), bytes(self._figures), keep=self.settings.checkpoints_kept)
        self._kept_step = self._now

    @property
    def _now(self) -> tuple[int, int]:
        """How far the training is; what is written of it may lag behind by one event."""
        return self.training.progress.step, self.training.progress.evaluated

    def go_on_from(self, figures: bytes) -> None:
        """The figures of a checkpoint that was restored: the run's own are cut back to them."""
        self._figures = bytearray(figures)
        self._kept_step = self._written = self._now

    def _is_time(self, event: Any, kept: float) -> bool:
        from shared.training.loop import Evaluated

        every = self.settings.checkpoint_steps
        return (
            isinstance(event, Evaluated)
            or (every is not None and event.step % every == 0)
            or time.monotonic() - kept > 60 * self.settings.checkpoint_minutes
        )

    def _stop_if_asked(self) -> None:
        """After a checkpoint; with several ranks all stop after the same event, whichever the signal reached."""
        ranks = self.training.ranks
        number = self.check.asked() or 0
        numbers = [int(value or 0) for value in ranks.gather(number)] if ranks.world > 1 else [number]
        if any(numbers):
            self.keep()
            self.check.raise_for(max(numbers))

    def _say_what_stays(self, error: BaseException) -> None:
        from shared.errors import WorkError

        from .interrupt import Terminated
        from .run_folder import WEIGHTS

        step = self.training.progress.step
        if not step or not self.training.ranks.first:
            return
        if not isinstance(error, (KeyboardInterrupt, Terminated)):
            last = "its checkpoints" if self._kept_step[0] > 0 else "no checkpoint"
            best = "the weights that were best on dev so far" if self._saved else "no weights yet"
            cure = "" if isinstance(error, WorkError) else "; when the cause is mended, go on with --resume"
            say(f"kept in {self.target}: settings, figures, {last} and {best}{cure}.")
            return
        if not self.training.settled or self._written != self._now:  # a checkpoint now would lack a figure, or the best weights
            where = f"inside step {step + 1}" if not self.training.settled else f"before step {step} was written down"
            say(f"stopped {where}, at the second signal: --resume goes on from the last checkpoint in {self.target}.")
            return
        self.keep()
        if not self._saved:
            from shared.training.checkpoint import save_weights

            save_weights(self.training.layer, self.target / WEIGHTS)
        kept = "the best so far on dev" if self._saved else "the last ones, not evaluated"
        say(f"stopped after step {step}: go on with the same command and --resume; {self.target / WEIGHTS} are {kept}.")
        self._draw()

    def _finish(self) -> None:
        from shared.files import write_json

        from .run_folder import FIGURES, FINISHED, WEIGHTS

        training = self.training
        if training.evaluates is False:
            self._save_best(training.progress.step, self.settings.epochs, {})
        self.keep()
        if not training.ranks.first:
            return
        self._draw()
        done = training.progress.step
        write_json(self.target / FINISHED, {"step": done, "steps": training.order.total_steps, "best_step": training.progress.best_step or done})
        say(f"{'best weights' if training.evaluates else 'weights'}: {self.target / WEIGHTS}; figures: {self.target / FIGURES}")

    def _draw(self) -> None:
        from .curves import draw_curves

        if len(self._figures):
            say(f"learning curves: {draw_curves(self.target)}")

    @contextmanager
    def _logs(self) -> Iterator[tuple[LineLog | None, LineLog | None]]:
        """``metrics.jsonl`` as far as the state goes, and ``timing.jsonl``, which keeps what other attempts took."""
        if not self.training.ranks.first:
            yield None, None
            return
        from shared.files import LineLog, atomic_write

        from .run_folder import FIGURES, TIMING

        with atomic_write(self.target / FIGURES) as file:
            file.write(bytes(self._figures))
        with ExitStack() as stack:
            metrics = stack.enter_context(LineLog(self.target / FIGURES, append=True))
            timing = stack.enter_context(LineLog(self.target / TIMING, append=bool(self.training.progress.step)))
            if self.training.progress.step:
                timing.write(resumed_at=self.training.progress.step)
            yield metrics, timing
