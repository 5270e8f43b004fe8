"""``dsi analyze``, the main job; ``dsi demo``, the same for two runs that ship with the package; ``dsi report``, the page alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dsi_cli.analysis.option_groups import groups
from dsi_cli.cli import console
from dsi_cli.cli.options import Json, Output, PerEpoch, Quiet, instance, option, takes
from dsi_cli.cli.summary import print_summary
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE

if TYPE_CHECKING:
    from dsi_cli.analysis.options import Options


@takes(groups.ANALYZE)
def analyze(values: Mapping[str, Any]) -> int:
    """Compare the classifiers of checkpoints with WordNet, and with their own mistakes.

    dsi writes Parquet tables and report.html, a page that shows them. With predictions, or test data and the model, it also
    analyses mistakes.

    Later calls with the same output folder use --labels, --map, --taxonomy, --reference, --pos, --wordnet, --head, --ema,
    --keep-extra-classes and --predictions again, until you give another value; the value none removes a setting.

    Examples
    --------
    dsi analyze ckpts/                           # tables, report: dsi-out
    dsi analyze ckpts/ --labels cifar100 -o out  # a preset, or a file
    dsi analyze ckpts/ --epochs 0:30:10 --reference wup -o some
    dsi analyze ckpts/ --predictions preds.npy --targets targets.npy
    dsi analyze ckpts/ --test data/test --model timm:resnet18
    """
    from dsi_cli.analysis import report_file, track
    from dsi_cli.analysis.analyze import analyze as run_analysis
    from dsi_cli.tracking import destinations

    output = instance(groups.OutputOptions, values)
    trackers = destinations(output.log_to)
    options = read_options(values)
    started = time.monotonic()
    with console.progress(quiet=output.quiet or output.json) as display:
        summary = run_analysis(
            values["checkpoints"], output.out, options, lambda event: display.update(*event), display.say
        )
        if output.report:
            report_file.add_report(summary, lambda event: display.update(*event))
        track.track_summary(summary, trackers)
    summary.seconds = time.monotonic() - started
    print_summary(summary, as_json=output.json, quiet=output.quiet, per_epoch=output.per_epoch)
    return summary.exit_code


def read_options(values: Mapping[str, Any]) -> Options:
    """Return the options of an analysis from the values of a command."""
    from dsi_cli.analysis.options import Evaluation, make_options

    return make_options(values, instance(Evaluation, values))


def demo(
    out: Annotated[Path, option("--out -o", "DIR", "The output folder.")] = Path("dsi-demo"),
    per_epoch: PerEpoch = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Analyse two real runs that ship with the package.

    The runs are a small CNN and a tiny ViT on CIFAR-100, 31 checkpoints each.

    Examples
    --------
    dsi demo
    dsi demo -o elsewhere --quiet
    """
    from dsi_cli.analysis import report_file
    from dsi_cli.analysis.analyze import analyze
    from dsi_cli.demo import runs_folder

    started = time.monotonic()
    with runs_folder() as folder, console.progress(quiet=quiet or as_json) as display:
        summary = analyze([folder], out, progress=lambda event: display.update(*event))
        report_file.add_report(summary, lambda event: display.update(*event))
    summary.seconds = time.monotonic() - started
    print_summary(summary, as_json=as_json, quiet=quiet, per_epoch=per_epoch)
    return summary.exit_code


def report(
    output: Output,
    file: Annotated[Path | None, option("--out -o", "FILE", "File of the page; report.html in OUTPUT by default.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write one HTML file with all results: curves, matrices, neighbours, mistakes, classes.

    The page needs no other file and no network. dsi analyze writes it, too.

    Examples
    --------
    dsi report dsi-out
    dsi report dsi-out -o resnet18.html
    """
    from dsi_cli.analysis import report_file
    from dsi_cli.store import atomic_write

    if file is not None:
        atomic_write.require_suffix(file, (".html", ".htm"), "the report is a page")
    with console.progress(quiet=quiet or as_json) as display:
        path = report_file.write_report(output, file, display.update)
    if as_json:
        console.print_json({"report": str(path), "bytes": path.stat().st_size})
    else:
        print(f"report: {terminal_text(str(path))} ({console.size(path.stat().st_size)})")
    return DONE
