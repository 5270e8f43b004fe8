"""``dsi watch``: the main job while training still writes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dsi_cli.analysis.option_groups import groups
from dsi_cli.analysis.option_groups.text_values import epoch_filter, format_seconds
from dsi_cli.cli import console, signals
from dsi_cli.cli.analyze import read_options
from dsi_cli.cli.options import instance, takes
from dsi_cli.cli.summary import print_summary, summary_document
from dsi_cli.cli.text import cell, terminal_text
from dsi_cli.errors import DONE, UsageError

if TYPE_CHECKING:
    from dsi_cli.analysis.options import Options
    from dsi_cli.analysis.summary import Summary
    from dsi_cli.analysis.watch import Analyse, AnyPath, Event
    from dsi_cli.queries.findings import Row
    from dsi_cli.tracking import Destination

# reason for the end in addition to those of `dsi_cli.analysis.watch`: Ctrl-C or SIGTERM
STOPPED = "stopped"


@takes(groups.WATCH)
def watch(values: Mapping[str, Any]) -> int:
    """Analyse each checkpoint as training writes it.

    The folder need not exist yet. dsi prints a line per new epoch, a line once a suspect
    is strong in two successive updates, and at the end what dsi analyze prints. It ends
    by Ctrl-C, by --until-epoch or by --idle.

    Examples
    --------
    dsi watch ckpts/ --until-epoch 30  # end after epoch 30
    dsi watch ckpts/ --idle 2h -o out  # or when nothing came for 2 hours
    """
    from dsi_cli.analysis import watch
    from dsi_cli.tracking import destinations

    # Read and check all options before the first checkpoint exists.
    waiting = instance(groups.WatchOptions, values)
    output = instance(groups.WatchOutputOptions, values)
    if waiting.idle is not None and waiting.idle <= waiting.every:
        idle, every, longer = map(
            format_seconds, (waiting.idle, waiting.every, 2 * waiting.every)
        )
        message = f"--idle {idle} is not longer than --every {every}"
        raise UsageError(
            message,
            hint=f"use --idle {longer} or longer",
            code="idle-too-short",
            idle=waiting.idle,
            every=waiting.every,
        )
    trackers = destinations(output.log_to)
    options = read_options(values)
    # Of the epochs up to --until-epoch, dsi waits for the last one that --epochs
    # selects.
    last_epoch, selected = waiting.until_epoch, epoch_filter(options.epochs)
    if last_epoch is not None and selected is not None:
        selected = range(
            selected.start, min(selected.stop, last_epoch + 1), selected.step
        )
        if not selected:
            message = (
                f"--epochs {options.epochs} selects no epoch up to --until-epoch"
                f" {last_epoch}"
            )
            raise UsageError(
                message,
                hint="change one of them",
                code="no-epoch-to-wait-for",
                epochs=options.epochs,
                until_epoch=last_epoch,
            )
        last_epoch = selected[-1]
    printer = WatchPrinter(output)
    try:
        watch.check(values["checkpoints"], output.out, options)
        printer.note(
            f"watching {', '.join(values['checkpoints'])} every"
            f" {format_seconds(waiting.every)}; Ctrl-C ends it"
        )
        events = watch.watch(
            values["checkpoints"],
            output.out,
            _analysis_with_progress(options, trackers, printer),
            every=waiting.every,
            revisions=options.revisions,
            names=options.names,
            until_epoch=last_epoch,
            idle=waiting.idle,
            sleep=signals.sleep,
        )
        for event in events:
            printer.show(event)
    except KeyboardInterrupt:
        if printer.summary is None and not watch.usable_checkpoints(output.out):
            raise
        signals.received.clear()
        return printer.close(STOPPED, "stopped", DONE)
    if event == watch.EndedEvent(watch.REACHED):
        return printer.close(watch.REACHED, printer.describe_reached(last_epoch))
    return printer.close(
        watch.IDLE, f"nothing was new for {format_seconds(waiting.idle or 0)}"
    )


def _analysis_with_progress(
    options: Options, trackers: Sequence[Destination], printer: WatchPrinter
) -> Analyse:
    """Return a function that analyses paths, shows the progress, and then updates the
    report and the trackers.
    """
    from dsi_cli.analysis import report_file
    from dsi_cli.analysis.analyze import analyze as run_analysis

    output, reports = printer.output, report_file.ThrottledReport()

    def analyse(paths: Sequence[AnyPath]) -> Summary:
        with console.progress(quiet=printer.is_quiet) as display:
            summary = run_analysis(
                paths,
                output.out,
                options,
                display.update,
                lambda text: printer.print_once(text, display.say),
            )
            if output.report:
                reports.add(summary, display.update)
            summary.send_curves(trackers)
            return summary

    return analyse


class WatchPrinter:
    """Prints what happens while dsi watches, and the ``summary`` of the last analysis,
    which is None before the first one.
    """

    def __init__(self, output: groups.OutputOptions) -> None:
        self.output = output
        self.is_quiet = output.quiet or output.json
        self.summary: Summary | None = None
        self._printed: set[str] = set()
        self._epochs_of: dict[str, set[int]] = {}

    def note(self, text: str) -> None:
        """Print a line on stderr, unless notes are left out."""
        console.note(text, quiet=self.is_quiet)

    def print_once(self, text: str, say: Callable[[str], None]) -> None:
        """Print a line that each analysis repeats, but only the first time."""
        if text not in self._printed:
            self._printed.add(text)
            say(text)

    def show(self, event: Event) -> None:
        """Print an event: new epochs on stdout, the rest on stderr."""
        from dsi_cli.analysis import watch
        from dsi_cli.queries import epoch_summary
        from dsi_cli.queries.records import records
        from dsi_cli.store.results import Results

        if isinstance(event, watch.WaitingEvent):
            self.note(f"waiting: {event.reason}")
        if not isinstance(event, watch.UpdatedEvent):
            return
        self.summary = event.summary
        self._show_problems(event.summary)
        # The values of the new epochs are in the tables.
        results = Results(event.summary.out)
        epochs: list[Row] = []
        for run in sorted({name for name, _ in event.new}):
            summary = records(epoch_summary.summary(results[run]))
            epochs += [row for row in summary if (run, row["epoch"] or 0) in event.new]
            # The results are those of the files that exist, or that were deleted, but
            # not of earlier contents of a file.
            known = {row["epoch"] for row in summary}
            if not known.issuperset(self._epochs_of.setdefault(run, known)):
                overwritten = (
                    "the results lack epochs whose file was overwritten; save one file"
                    " per epoch"
                )
                self.print_once(f"warning: {run}: {overwritten}", self.note)
            self._epochs_of[run] = known
        if epochs and self.output.json:
            suspects = [
                {"run": one.run, "epoch": one.epoch, **one.finding._asdict()}
                for one in event.suspects
            ]
            document = {"event": "updated", "epochs": epochs, "suspects": suspects}
            console.print_json(document, is_line=True)
            return
        command = shlex.join(["dsi", "suspects", event.summary.out])
        lines = [
            *map(_epoch_line, epochs),
            *(
                f"{one.run}  epoch {one.epoch:>3}  {one.finding}; {command}"
                for one in event.suspects
            ),
        ]
        for line in lines:
            print(terminal_text(line), flush=True)

    def _show_problems(self, summary: Summary) -> None:
        """Print which inputs contradict one another, where another training begins, and
        what is wrong with checkpoints, except with those that training still writes.
        """
        from dsi_cli.queries.facts import BREAK

        for message in summary.messages:
            if message.is_contradiction or message.code == BREAK:
                self.print_once(f"{message.severity}: {message.line}", self.note)
        for run in summary.runs:
            for path, status, reason in run.problems:
                if status == "failed":
                    self.print_once(f"  failed: {path}: {reason}", self.note)
            for path, split, reason in run.not_evaluated:
                self.print_once(
                    f"  {path} has no predictions on {split}: {reason}", self.note
                )

    def describe_reached(self, epoch: int | None) -> str:
        """Return that the training has reached an epoch; if there are several runs,
        that these have.
        """
        runs = [] if self.summary is None else [run.name for run in self.summary.runs]
        if len(runs) < 2:
            return f"the training has reached epoch {epoch}"
        return (
            f"{len(runs)} runs have reached epoch {epoch}: {', '.join(runs)}; for runs"
            " that begin later, call dsi watch again"
        )

    def close(self, reason: str, text: str, exit_code: int | None = None) -> int:
        """Print why watching ended and the last summary; return the exit code, by
        default that of the last analysis.
        """
        from dsi_cli.analysis import report_file

        if self.summary is None:
            self.note(f"{text}; {self.output.out} holds what was analysed before")
            return DONE if exit_code is None else exit_code
        self.note(text)
        if self.output.report:
            report_file.add_report(self.summary)  # it may be older than the tables
        code = self.summary.exit_code if exit_code is None else exit_code
        if self.output.json:
            document = {
                "event": "ended",
                "why": reason,
                **summary_document(self.summary),
                "exit_code": code,
            }
            console.print_json(document, is_line=True)
        else:
            print()
            # the screen is about all that came while dsi watched
            last = replace(self.summary, unchanged=False)
            print_summary(last, as_json=False, quiet=self.is_quiet)
        return code


def _epoch_line(summary: Row) -> str:
    """Return the line of an epoch: its values as far as they are known, with another
    measure of the SAI or the accuracy on train for missing ones.
    """
    from dsi_cli.queries.quantities import alignment

    epoch = "–" if summary["epoch"] is None else summary["epoch"]
    parts = [f"{summary['run']}  epoch {epoch:>3}"]
    name, value = "agreement", summary["agreement"]
    if value is None:
        name, value = alignment([summary["measure"]]).title, summary["excess"]
    if value is not None:
        parts.append(f"{name} {cell(value, 'z.3f'):>6}")
    if summary["z"] is not None:
        parts.append(f"z {cell(summary['z'], 'z.1f'):>5}")
    if summary["max_wsi"] is not None:
        parts.append(
            f"WSI max {cell(summary['max_wsi'], 'z.3f')} min"
            f" {cell(summary['min_wsi'], 'z.3f'):>6}"
        )
    for name, value in (
        ("accuracy", summary["accuracy"]),
        ("train accuracy", summary["train_accuracy"]),
    ):
        if value is not None:
            parts.append(f"{name} {cell(value, 'z.3f')}")
            break
    return "  ".join(parts)
