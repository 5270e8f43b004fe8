"""``dsi analyze``, the main job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dsi_cli.analysis.option_groups import groups
from dsi_cli.cli import console
from dsi_cli.cli.options import instance, takes
from dsi_cli.cli.summary import print_summary

if TYPE_CHECKING:
    from dsi_cli.analysis.options import Options


@takes(groups.ANALYZE)
def analyze(values: Mapping[str, Any]) -> int:
    """Compare classifiers with WordNet, and with their own mistakes.

    dsi writes Parquet tables and report.html, a page that shows them. With predictions,
    or test data and the model, it also analyses mistakes.

    Later calls with the same output folder use --labels, --map, --taxonomy,
    --reference, --pos, --head, --ema and --predictions again, until you give another
    value; the value none removes a setting.

    Examples
    --------
    dsi analyze ckpts/                           # tables, report: dsi-out
    dsi analyze ckpts/ --labels cifar100 -o out  # a preset, or a file
    dsi analyze ckpts/ --epochs 0:30:10 --reference wup -o wup-every-10
    dsi analyze ckpts/ --predictions preds.npy --targets targets.npy
    dsi analyze ckpts/ --test data/test --model timm:resnet18
    """
    from dsi_cli.cli.arrow import start_without_pandas

    start_without_pandas()
    from dsi_cli.analysis import report_file
    from dsi_cli.analysis.analyze import analyze as run_analysis
    from dsi_cli.tracking import destinations

    output = instance(groups.OutputOptions, values)
    trackers = destinations(output.log_to)
    options = read_options(values)
    started = time.monotonic()
    with console.progress(quiet=output.quiet or output.json) as display:
        summary = run_analysis(
            values["checkpoints"], output.out, options, display.update, display.say
        )
        if output.report:
            report_file.add_report(summary, display.update)
        summary.send_curves(trackers)
    summary.seconds = time.monotonic() - started
    print_summary(summary, as_json=output.json, quiet=output.quiet)
    return summary.exit_code


def read_options(values: Mapping[str, Any]) -> Options:
    """Return the options of an analysis from the values of a command."""
    from dsi_cli.analysis.options import Evaluation, make_options

    return make_options(values, instance(Evaluation, values))
