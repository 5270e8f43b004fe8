"""``dsi watch``: the main job while training still writes."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import console, data_options, engine_options, signals
from dsi_cli.cli.analyze import (
    Checkpoints,
    Draws,
    EarlierEma,
    EarlierPartOfSpeech,
    Head,
    KeepExtraClasses,
    Labels,
    MapFile,
    Out,
    Permutations,
    Quiet,
    References,
    Report,
    TaxonomyFile,
    WordNetName,
)
from dsi_cli.cli.summary import document, number, report
from dsi_cli.errors import DONE, UsageError

if TYPE_CHECKING:
    from dsi_cli.analysis.options import Options
    from dsi_cli.analysis.summary import Summary
    from dsi_cli.analysis.watch import Analyse, AnyPath, Event
    from dsi_cli.queries.epoch_summary import EpochSummary

_SECONDS = {"s": 1, "m": 60, "h": 3600}
STOPPED = "stopped"
"""Why watching ended, beside the reasons of `dsi_cli.analysis.watch`: by Ctrl-C or SIGTERM."""


def watch(
    checkpoints: Checkpoints,
    out: Out = Path("dsi-out"),
    every: Annotated[str, typer.Option("--every", help="How often the files are listed: 10s, 1m.")] = "10s",
    until_epoch: Annotated[
        int | None,
        typer.Option("--until-epoch", min=0, help="End once every run has this epoch (the trainer's own number)."),
    ] = None,
    idle: Annotated[str | None, typer.Option("--idle", help="End when nothing was new for so long: 90s, 30m, 2h.")] = None,
    labels: Labels = None,
    map_file: MapFile = None,
    reference: References = None,
    taxonomy: TaxonomyFile = None,
    pos: EarlierPartOfSpeech = None,
    wordnet: WordNetName = None,
    head: Head = None,
    ema: EarlierEma = None,
    keep_extra_classes: KeepExtraClasses = None,
    permutations: Permutations = None,
    draws: Draws = None,
    test: data_options.Test = None,
    data_root: data_options.DataRoot = None,
    model: data_options.Model = None,
    model_arg: data_options.ModelArg = None,
    templates: data_options.Templates = False,
    image_size: data_options.ImageSize = None,
    mean: data_options.Mean = None,
    std: data_options.Std = None,
    channels: data_options.Channels = None,
    device: data_options.Device = "auto",
    engine: engine_options.Name = engine_options.DEFAULT,
    address: engine_options.Address = None,
    gpus_per_task: engine_options.GpusPerTask = 0.0,
    memory: data_options.Memory = None,
    html: Report = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines: a document per update, the last as dsi analyze --json.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Do as dsi analyze while training still writes, each checkpoint once it is whole.

    The folder need not be there yet. Prints a line per new epoch, and what dsi analyze prints when it ends: by Ctrl-C, by
    --until-epoch or by --idle. The tables in the output are whole all the time.

    Examples
    --------
    dsi watch ckpts/ --until-epoch 30  # end after epoch 30
    dsi watch ckpts/ --idle 2h -o out  # or when nothing came for 2 hours
    """
    from dsi_cli.analysis import earlier_settings, watch
    from dsi_cli.analysis.options import Evaluation, Options
    from dsi_cli.engines import EngineOptions

    pace, patience = seconds("--every", every), None if idle is None else seconds("--idle", idle)
    if patience is not None and patience <= pace:
        raise UsageError(f"--idle {idle} is no longer than --every {every}: nothing can be new in between")
    evaluation = Evaluation(
        test=test,
        data_root=data_root,
        model=model,
        model_arguments=data_options.arguments(model_arg),
        templates=templates,
        image_size=image_size,
        mean=data_options.numbers("--mean", mean),
        std=data_options.numbers("--std", std),
        channels=channels,
        device=device,
    )
    settings = earlier_settings.Settings(
        labels=labels,
        mapping=map_file,
        taxonomy=taxonomy,
        references=tuple(reference) if reference else None,
        pos=pos,
        wordnet=wordnet,
        head=head,
        ema=ema,
        keep_extra=keep_extra_classes,
    )
    options = Options(
        **settings.options(),
        permutations=permutations,
        draws=draws,
        memory=data_options.memory(memory),
        evaluation=evaluation,
        engine=EngineOptions(engine, address, gpus_per_task),
    )
    shown = _Shown(out, as_json=as_json, quiet=quiet or as_json, html=html)
    try:
        with signals.by(signal.SIGTERM):  # by which a job's end or `kill` ends a process in the background
            watch.check(out, options)
            shown.note(f"watching {', '.join(checkpoints)} every {every}; Ctrl-C ends it")
            analyse = _with_progress(out, options, shown)
            for event in watch.watch(
                checkpoints, out, analyse, every=pace, until_epoch=until_epoch, idle=patience, sleep=signals.sleep
            ):
                shown.show(event)
    except KeyboardInterrupt:
        if shown.summary is None and not watch.usable(out):
            raise
        return shown.close(STOPPED, "stopped", DONE)
    if event == watch.EndedEvent(watch.REACHED):
        return shown.close(watch.REACHED, f"epoch {until_epoch} is there")
    return shown.close(watch.IDLE, f"nothing was new for {idle}")


def seconds(option: str, text: str) -> float:
    """Return seconds.

    >>> seconds("--idle", "30m"), seconds("--every", "0.5s")
    (1800.0, 0.5)

    Raises
    ------
    UsageError
        The text is no time, or none at all.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*([smh])", text.strip().lower())
    if found is None or not float(found[1]):
        raise UsageError(f"{option} wants a time, for example 90s, 30m or 2h; {text!r} is none")
    return float(found[1]) * _SECONDS[found[2]]


def _with_progress(out: Path, options: Options, shown: _Shown) -> Analyse:
    """Return the analysis of some paths, with bars while it is under way."""
    from dsi_cli.analysis import report_file
    from dsi_cli.analysis.analyze import analyze as run_analysis

    pages = report_file.ThrottledReport()

    def analyse(paths: Sequence[AnyPath]) -> Summary:
        with console.progress(quiet=shown.quiet) as bars:
            summary = run_analysis(
                paths, out, options, lambda event: bars.update(*event), lambda text: shown.once(text, bars.say)
            )
            if shown.html:
                pages.add(summary, lambda event: bars.update(*event))
            return summary

    return analyse


class _Shown:
    """What was printed so far, and how the next is."""

    def __init__(self, out: Path, *, as_json: bool, quiet: bool, html: bool) -> None:
        self.out = out
        self.html = html
        """Whether a report is wanted."""
        self.as_json = as_json
        self.quiet = quiet
        self.summary: Summary | None = None
        """Of the last analysis."""
        self._told: set[str] = set()

    def note(self, text: str) -> None:
        console.note(text, quiet=self.quiet)

    def once(self, text: str, say: Callable[[str], None]) -> None:
        """Say what each analysis says anew, but only the first time."""
        if text not in self._told:
            self._told.add(text)
            say(text)

    def show(self, event: Event) -> None:
        """Print an event: new epochs on stdout, the rest on stderr."""
        from dsi_cli.analysis import watch

        if isinstance(event, watch.WaitingEvent):
            self.note(f"waiting: {event.reason}")
        elif isinstance(event, watch.UpdatedEvent):
            self.summary = event.summary
            for problem in _problems(event.summary):
                self.once(problem, self.note)
            self._print(_lines(event.summary, event.new))

    def _print(self, new: list[tuple[str, EpochSummary]]) -> None:
        if not self.as_json:
            if new:
                console.settle()
            for run, line in new:
                print(console.shown(_text(run, line)), flush=True)
        elif new:
            console.print_json_line({"event": "updated", "epochs": [{"run": run, **asdict(line)} for run, line in new]})

    def close(self, why: str, words: str, exit_code: int | None = None) -> int:
        """Print why watching ended and what the last analysis came to; return the exit code, by default that analysis'."""
        from dsi_cli.analysis import report_file

        if self.summary is None:
            self.note(f"{words}; {self.out} holds what was analysed before")
            return DONE if exit_code is None else exit_code
        self.note(words)
        if self.html:
            report_file.add_report(self.summary)  # it may be behind the tables
        code = self.summary.exit_code if exit_code is None else exit_code
        if self.as_json:
            console.print_json_line({"event": "ended", "why": why, **document(self.summary), "exit_code": code})
        else:
            print()
            report(self.summary, as_json=False, quiet=self.quiet)
        return code


def _problems(summary: Summary) -> Iterator[str]:
    """Yield what is wrong with checkpoints; those that are still being written are no news."""
    for run in summary.runs:
        yield from (f"  {status}: {path}: {reason}" for path, status, reason in run.problems if status == "failed")
        yield from (f"  no answer on {split}: {path}: {reason}" for path, split, reason in run.unanswered)


def _lines(summary: Summary, new: list[tuple[str, int]]) -> list[tuple[str, EpochSummary]]:
    """Return run and numbers of new epochs, read from the tables."""
    from dsi_cli.queries import epoch_summary

    return [
        (run, line)
        for run in sorted({run for run, _ in new})
        for line in epoch_summary.epoch_summaries(Path(summary.out), run)
        if (run, line.epoch or 0) in new
    ]


def _text(run: str, line: EpochSummary) -> str:
    """Return the one line of an epoch: what is known, the alignment as its excess over chance."""
    parts = [f"{run}  epoch {'–' if line.epoch is None else line.epoch:>3}"]
    if line.excess is not None:
        parts.append(f"SAI excess {number(line.excess, 3):>6}  z {number(line.z, 1):>5}")
    if line.max_wsi is not None:
        parts.append(f"WSI max {number(line.max_wsi, 3)} min {number(line.min_wsi, 3):>6}")
    return "  ".join(parts)
