"""The functions that a notebook calls, over `dsi_cli.analysis`; `dsi_cli` itself hands them out.

Each says the same as its command, and raises where the command prints one line and exits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.analysis.options import Evaluation, Options
    from dsi_cli.report.notebook_card import ReportFrame
    from dsi_cli.tracking.destinations import Logged

from dsi_cli.engines import DEFAULT as DEFAULT_ENGINE
from dsi_cli.metrics import DEFAULT_MEASURES, DEFAULT_REFERENCES, WSI_QUANTILE
from dsi_cli.remote import local_names, urls
from dsi_cli.store import layout, results

_Path = str | PathLike[str]


def analyze(
    checkpoints: _Path | Sequence[_Path],
    out: _Path = layout.DEFAULT,
    *,
    labels: str | PathLike[str] | None = None,
    mapping: _Path | None = None,
    references: Iterable[str] | None = None,
    taxonomy: _Path | None = None,
    pos: str | None = None,
    wordnet: str | None = None,
    epochs: str | None = None,
    head: str | None = None,
    ema: bool | None = None,
    keep_extra_classes: bool | None = None,
    centred: bool = False,
    measures: Iterable[str] = DEFAULT_MEASURES,
    quantiles: Iterable[float] = (WSI_QUANTILE,),
    permutations: int | None = None,
    draws: int | None = None,
    evaluation: Evaluation | None = None,
    memory: int | None = None,
    log: _Path | None = None,
    engine: str = DEFAULT_ENGINE,
    address: str | None = None,
    gpus_per_task: float = 0.0,
    report: bool = True,
    log_to: Iterable[str] = (),
) -> Results:
    """Analyse checkpoints as ``dsi analyze`` does, and return the `Results` of the output folder.

    Parameters
    ----------
    checkpoints : one or several files, folders or glob patterns, or URLs of these
    out : the output folder, or its URL; a second call brings it up to date and reads only what is new
    labels : a label file, or the name of a preset; None: those of an earlier call with this output, else what lies beside the
        checkpoints or in them. What says what classes and heads are holds from an earlier call until another is given, as it does
        on the command line: ``mapping``, ``references``, ``taxonomy``, ``pos``, ``wordnet``, ``head``, ``ema``,
        ``keep_extra_classes`` and predictions, too; ``"none"`` removes it
    mapping : a CSV file of what labels mean (``dsi labels --write-map``); it comes before all else
    references : what the networks are compared with, the main one first: ``path``, ``wup``, ``lch``, ``res:FILE``, ``lin:FILE``,
        ``jcn:FILE``, or the file of a matrix (.csv, .parquet, .npy)
    taxonomy : a CSV file of child and parent in place of WordNet, for ``path``, ``wup`` and ``lch``, groups, order and severity
    pos : what labels are in WordNet: ``noun``, or ``verb`` for lists of actions
    wordnet : the name of a WordNet that NLTK has installed, in place of 3.0
    epochs : ``first:last:step``, ``last`` included
    head : the name of the classifier's weight, where it cannot be told
    ema : averaged weights instead of raw ones
    keep_extra_classes : keep rows for no object or background
    centred : also the NCSM without the mean weight row
    measures : of the SAI, names out of `dsi_cli.metrics.MEASURES`
    quantiles : of the max and min WSI
    permutations, draws : see `dsi_cli.alignments`
    evaluation : where the networks' answers on labelled data come from: predictions, or data and the model
    memory : the bytes that comparing matrices may take; None: half of what is free. Measures that need more are null
    log : the training log of all runs, in place of what lies beside each of them
    engine : what does the work, a name out of `dsi_cli.engines.ENGINES`; it changes no value
    address : of a Ray cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; None: the cluster that this process is
        connected to, ``RAY_ADDRESS``, else Ray on this machine
    gpus_per_task : of a Ray cluster, for running a model on images
    report : also write ``report.html`` into the output folder
    log_to : trackers that get the curves as well, see `log_curves`

    Raises
    ------
    UsageError, NothingToAnalyseError, OutputError, EngineError
        As `dsi_cli.analysis.analyze.analyze`.

    Warns
    -----
    UserWarning
        The report could not be written, or the curves could not be logged to one of the trackers. The tables are complete all
        the same, and the other trackers have the curves.
    """
    from dsi_cli.analysis import analyze, earlier_settings, report_file, track
    from dsi_cli.analysis.options import Evaluation, Options
    from dsi_cli.engines import EngineOptions
    from dsi_cli.tracking.destinations import destinations

    trackers = destinations(log_to)
    evaluation = evaluation or Evaluation()
    settings = earlier_settings.Settings(
        labels=None if labels is None else str(labels),
        mapping=None if mapping is None else str(mapping),
        taxonomy=None if taxonomy is None else str(taxonomy),
        references=None if references is None else tuple(references),
        pos=pos,
        wordnet=wordnet,
        head=head,
        ema=ema,
        keep_extra=keep_extra_classes,
        predictions=evaluation.predictions,
    )
    options = Options(
        **settings.options(),
        epochs=epochs,
        centred=centred,
        measures=tuple(measures),
        quantiles=tuple(quantiles),
        permutations=permutations,
        draws=draws,
        memory=memory,
        log=None if log is None else str(log),
        evaluation=replace(evaluation, predictions=settings.predictions_file),
        engine=EngineOptions(engine, address, gpus_per_task),
    )
    paths = [checkpoints] if isinstance(checkpoints, str | PathLike) else list(checkpoints)
    with _elsewhere(out, options, writes=True) as (folder, options, kept):
        summary = analyze.analyze(paths, folder, options)
        if report:
            report_file.add_report(summary)
        track.track_summary(summary, trackers)
    for problem in summary.problems:
        warnings.warn(f"the tables in {out} are complete, but {problem}", stacklevel=2)
    return Results(folder, kept)


class Results(results.Results):
    """The results folder of ``dsi analyze``: tables as DataFrames, matrices as square labelled DataFrames.

    ``results["cifar100-cnn"]`` is one of its training runs, with the same attributes and methods. Iterating over the
    results gives the names of the runs. A notebook shows each run with its best epochs, its phases and its warnings.

    Parameters
    ----------
    out : path of the folder
    only : the name of the only run to show; all runs if None

    Raises
    ------
    UsageError
        The folder does not exist or is not a results folder, or it has no run of the name ``only``.
    """

    # What a notebook shows is made by `report`, which reads the store's `Results`: the store cannot import it.

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the runs with their best epochs, phases and warnings."""
        from dsi_cli.report.notebook_card import card

        return card(self)

    def show_report(self, height: int = 900) -> ReportFrame:
        """Return the HTML report in a frame, for the last line of a notebook's cell.

        Parameters
        ----------
        height : of the frame, in pixels

        Raises
        ------
        UsageError
            The folder has no report yet.
        """
        from dsi_cli.report.notebook_card import report_frame

        return report_frame(self, height)


@contextmanager
def _elsewhere(out: _Path, options: Options, *, writes: bool = False) -> Iterator[tuple[Path, Options, object]]:
    """Yield the output's folder and the options with copies in place of URLs, and what keeps these for as long as it lasts."""
    from dsi_cli.remote.download import TemporaryFolder
    from dsi_cli.store.remote_output import RemoteOutput

    kept = TemporaryFolder()
    folder = kept.path
    with local_names.shown_as_urls(folder), ExitStack() as stack:
        options = _fetched(options, folder)
        if urls.scheme_of(out) is None:
            yield Path(urls.local_path(out)), options, kept
            return
        mirror = RemoteOutput(fspath(out), folder)
        if writes:
            stack.enter_context(mirror.writing())
        yield mirror.path, options, kept


def _fetched(options: Options, folder: Path) -> Options:
    from dsi_cli.remote import download

    def here(text: str | None, to: Path = folder) -> str | None:
        return None if text is None else download.localize(text, to)

    said = options.evaluation
    test, train = (here(spec, download.cache()) for spec in (said.test, said.train))
    said = replace(said, predictions=here(said.predictions), targets=here(said.targets), test=test, train=train)
    references = tuple(download.localize(one, folder) for one in options.references)
    return replace(
        options,
        labels=here(options.labels),
        mapping=here(options.mapping),
        log=here(options.log),
        taxonomy=here(options.taxonomy),
        references=references,
        evaluation=said,
    )


def log_curves(out: _Path, log_to: str, *, run: str | None = None) -> Logged:
    """Log the curves of an output to a tracker as ``dsi export --log-to`` does, and return what was logged.

    Called again, it brings them up to date: no point is there twice.

    Parameters
    ----------
    out : the output folder, or its URL
    log_to : ``tensorboard:DIR``, ``wandb``, ``wandb:PROJECT``, ``mlflow`` or ``mlflow:URI``
    run : one of its runs; all if None

    Raises
    ------
    UsageError
        The folder is no output, there is no such run or tracker, or the tracker's package is not installed.
    OutputError
        The tracker could not be written to.
    """
    from dsi_cli.analysis import track
    from dsi_cli.analysis.options import Options
    from dsi_cli.tracking.destinations import destinations

    with _elsewhere(out, Options()) as (folder, _, _kept):
        (logged,) = track.send_curves(folder, destinations([log_to]), run)
    return logged


def open_results(out: _Path = layout.DEFAULT) -> Results:
    """Return the `Results` of a folder that ``dsi analyze`` wrote; the checkpoints are not needed for it.

    Parameters
    ----------
    out : the output folder, or its URL

    Raises
    ------
    UsageError
        The folder is not there, or is no output.
    """
    from dsi_cli.analysis.options import Options

    if urls.scheme_of(out) is None:
        return Results(urls.local_path(out))
    with _elsewhere(out, Options()) as (folder, _, kept):
        return Results(folder, kept)


open_run = open_results


def read_head(
    checkpoint: _Path, *, head: str | None = None, ema: bool = False, keep_extra_classes: bool = True
) -> NDArray[np.float32]:
    """Return the classifier's weight ``(classes, features)`` of one checkpoint; no code in it is executed.

    Parameters
    ----------
    checkpoint : a file, or a folder that is one checkpoint (Hugging Face)
    head, ema, keep_extra_classes : as for `analyze`

    Raises
    ------
    CheckpointError
        The file cannot be read, or has no classifier, or several; the message says which.
    UsageError
        There is no such path, or it is a folder of several checkpoints.
    """
    from dsi_cli.checkpoints import discovery, scan
    from dsi_cli.errors import CheckpointError, UsageError

    found = [one for run in discovery.discover([checkpoint]) for one in run.checkpoints]
    if len(found) != 1:
        raise UsageError(f"{checkpoint} holds {len(found)} checkpoints: read_head wants one")
    scanned = scan.scan_checkpoint(found[0], scan.HeadOptions(head, ema, keep_extra_classes), with_fingerprint=False)
    if scanned.weight is None:
        raise CheckpointError(f"{checkpoint}: {scanned.record.reason}")
    return scanned.weight


def wordnet_csm(
    labels: _Path | Sequence[str],
    measure: str = DEFAULT_REFERENCES[0],
    taxonomy: _Path | None = None,
    *,
    pos: str = "noun",
    wordnet: str | None = None,
) -> pd.DataFrame:
    """Return WordNet's similarity of labels ``(C, C)``, float64; NaN for labels without a synset.

    Parameters
    ----------
    labels : a list of WordNet ids, synset names or words; or a label file, or a preset's name
    measure : ``path``, in (0, 1]; ``wup``, ``lch``, ``res:FILE``, ``lin:FILE`` or ``jcn:FILE``, as NLTK has them
    taxonomy : a CSV file of child and parent in place of WordNet
    pos, wordnet : as for `analyze`

    Raises
    ------
    UsageError
        The file or preset cannot be read, or no such WordNet is installed.

    Examples
    --------
    >>> wordnet_csm(["dog", "cat", "n02958343"]).loc["dog", "cat"].item()
    0.2
    >>> wordnet_csm(["running", "swimming", "sleep"], pos="verb").loc["running", "swimming"].item()
    0.25
    """
    import pandas as pd

    from dsi_cli.analysis.semantics import hierarchy, references, wordnet_matrix
    from dsi_cli.wordnet.database.wordnet import load_wordnet

    of = load_wordnet(pos, wordnet)
    (opened,) = references.open_references(
        [measure], hierarchy.open_taxonomy(None if taxonomy is None else str(taxonomy)), of
    )
    one = wordnet_matrix.resolve_label_list(fspath(labels) if isinstance(labels, PathLike) else labels, None, of)
    names = pd.Index(one.label_list.names if one.label_list else (), name="class")
    return pd.DataFrame(opened.similarity(one), index=names, columns=names)
