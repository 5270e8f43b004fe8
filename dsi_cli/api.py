"""The Python API: the functions of `dsi_cli` on files and folders, on top of
`dsi_cli.analysis`.

Each function does the same as its command, and raises an error where the command prints
one line and exits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.analysis.options import Evaluation, Options
    from dsi_cli.queries.difference import Difference
    from dsi_cli.remote.download import TemporaryFolder
    from dsi_cli.report.notebook_card import ReportFrame
    from dsi_cli.tracking import Logged

from dsi_cli.engines import DEFAULT as DEFAULT_ENGINE
from dsi_cli.errors import UsageError
from dsi_cli.metrics import DEFAULT_MEASURES, DEFAULT_REFERENCES, WSI_QUANTILE
from dsi_cli.remote import urls
from dsi_cli.store import layout, results

_Path = str | PathLike[str]
_Options = TypeVar("_Options", "Options", "Evaluation")


def analyze(
    checkpoints: _Path | Sequence[_Path],
    out: _Path = layout.DEFAULT,
    *,
    labels: str | PathLike[str] | None = None,
    mapping: _Path | None = None,
    references: Iterable[_Path] | None = None,
    taxonomy: _Path | None = None,
    pos: str | None = None,
    wordnet: str | None = None,
    revisions: str | None = None,
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
    """Analyse checkpoints as ``dsi analyze`` does, and return the `Results` of the
    output folder.

    Later calls with the same output folder use the labels, the mapping, the references,
    the taxonomy and the predictions again, and ``pos``, ``wordnet``, ``head``, ``ema``
    and ``keep_extra_classes``. Another value replaces one; ``"none"`` removes it.

    Parameters
    ----------
    checkpoints : one or several files, folders or glob patterns, or URLs of these, or
        runs of a tracker (``mlflow:RUN``, ``wandb:ENTITY/PROJECT/RUN``).
    out : the output folder; a second call brings it up to date and reads only what is
        new.
    labels : a label file, or the name of a preset; if None, the labels of an earlier
        call, else those in or next to the checkpoints.
    mapping : a CSV file with the sense of each label (``dsi labels --write-map``),
        which overrides every other source.
    references : what the networks are compared with, the main one first: ``path``,
        ``wup``, ``lch``, ``res:FILE``, ``lin:FILE``, ``jcn:FILE``, or the file of a
        matrix (.csv, .parquet, .npy).
    taxonomy : a file that replaces WordNet for ``path``, ``wup``, ``lch``, groups,
        class order and hierarchical scores (CSV of child and parent, a JSON tree, or a
        file of ImageNet, BREEDS or iNaturalist).
    pos : the part of speech of the labels in WordNet: ``noun``, or ``verb`` for lists
        of actions.
    wordnet : the name of a WordNet that is installed for NLTK, instead of version 3.0.
    revisions : read a Hugging Face repository (``hf://ORG/MODEL``) at each of its
        ``commits``, ``tags`` or ``branches``, or at the tags and branches that fit a
        pattern.
    epochs : ``first:last:step``, ``last`` included.
    head : the name of the classifier's weight, if dsi cannot find it.
    ema : use averaged weights instead of raw ones.
    keep_extra_classes : keep the head's rows for no object or background.
    centred : also compute the NCSM without the mean weight row.
    measures : the measures of the SAI, names from `dsi_cli.metrics.MEASURES`.
    quantiles : the quantiles for the maximum and minimum WSI.
    permutations, draws : see `dsi_cli.alignments`.
    evaluation : the predictions on labelled data: from a file, or from data and a
        model.
    memory : the bytes for comparing matrices; if None, half of what is free. Measures
        that need more are null.
    log : the training log of all runs; if None, the log next to each run's checkpoints.
    engine : what runs the jobs, a name from `dsi_cli.engines.ENGINES`; it changes no
        value.
    address : the address of a Ray cluster: ``auto``, ``HOST:PORT`` or
        ``ray://HOST:PORT``; if None, the cluster that this process is connected to, or
        ``RAY_ADDRESS``, or else Ray on this machine.
    gpus_per_task : the GPUs of the Ray cluster that one task takes to run a model on
        images.
    report : also write ``report.html`` into the output folder.
    log_to : trackers that get the curves as well, see `log_curves`.

    Raises
    ------
    UsageError
        A path, option or label list has a value that is not allowed. Nothing was
        written.
    NothingToAnalyseError
        No checkpoint was found, or dsi can use none of them.
    OutputError
        The output folder could not be written. Finished work is kept.
    EngineError
        The machines that run the jobs were lost. Finished work is kept.

    Warns
    -----
    UserWarning
        The results may be wrong, for example because labels have another order than
        next to the checkpoints. Or the report could not be written, or a tracker did
        not get the curves; then the tables are complete.
    """
    values = dict(locals())  # the parameters have the names of the fields of `Options`
    from dsi_cli.analysis import analyze, report_file
    from dsi_cli.analysis.options import make_options
    from dsi_cli.remote.download import TemporaryFolder
    from dsi_cli.tracking import destinations

    trackers = destinations(log_to or ())
    options = make_options(values, evaluation)
    given: Any = checkpoints
    paths = (
        list(given)
        if isinstance(given, Iterable) and not isinstance(given, str | PathLike)
        else [given]
    )
    for path in paths:
        if not isinstance(path, str | PathLike):
            message = (
                f"checkpoints takes files, folders or URLs, not {type(path).__name__}"
            )
            raise UsageError(message, code="wrong-type", field="checkpoints")
    urls.require_local_output(out)
    folder, copies = Path(urls.local_path(out)), TemporaryFolder()
    with urls.urls_in_messages(copies.path):
        evaluation = _download(options.evaluation, copies.path)
        options = replace(_download(options, copies.path), evaluation=evaluation)
        summary = analyze.analyze(paths, folder, options)
        if report:
            report_file.add_report(summary)
        summary.send_curves(trackers)
    problems = [
        f"the tables in {out} are complete, but {problem}"
        for problem in summary.problems
    ]
    texts = [message.text for message in summary.messages]
    for text in (*texts, *problems):
        warnings.warn(text, stacklevel=2)
    return Results(folder)


class Results(results.Results):
    """The results folder of ``dsi analyze``: tables as DataFrames, matrices as square
    labelled DataFrames.

    ``results["cifar100-cnn"]`` is one of its training runs, with the same attributes
    and methods. Iterating over the results gives the names of the runs. A notebook
    shows each run with its best epochs, its phases and its warnings.

    Parameters
    ----------
    out : path of the folder.
    only : the name of the only run to show; all runs if None.

    Raises
    ------
    UsageError
        The folder does not exist or is not a results folder, or it has no run of the
        name ``only``.
    """

    # These methods need `dsi_cli.report`, which imports the `Results` of the store. So
    # the store cannot import it.

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the runs with their best epochs, phases and
        warnings.
        """
        from dsi_cli.report.notebook_card import card

        return card(self)

    def show_report(self, height: int = 900) -> ReportFrame:
        """Return the HTML report in a frame, which a notebook shows if it is the last
        line of a cell.

        Parameters
        ----------
        height : the height of the frame, in pixels.

        Raises
        ------
        UsageError
            The folder has no report yet.
        """
        from dsi_cli.report.notebook_card import report_frame

        return report_frame(self, height)


def _downloaded(out: _Path) -> tuple[Path, TemporaryFolder | None]:
    """Return the local path of a results folder, and the object that keeps its copy if
    it is a URL.
    """
    from dsi_cli.remote import download

    if urls.scheme_of(out) is None:
        return Path(urls.local_path(out)), None
    copies = download.TemporaryFolder()
    with urls.urls_in_messages(copies.path):
        return download.fetch_results(fspath(out), copies.path), copies


def _download(options: _Options, folder: Path) -> _Options:
    """Return options with the paths of local copies in place of URLs."""
    from dsi_cli.analysis.option_groups.declaration import (
        CACHE,
        DOWNLOAD,
        declared_options,
    )
    from dsi_cli.remote import download

    local: dict[str, Any] = {}
    for declared in declared_options(type(options)):
        value = getattr(options, declared.field)
        if value is None or declared.option.url not in (CACHE, DOWNLOAD):
            continue
        target = download.cache_folder() if declared.option.url == CACHE else folder
        if isinstance(value, tuple):
            local[declared.field] = tuple(
                download.localize(text, target) for text in value
            )
        else:
            local[declared.field] = download.localize(value, target)
    return replace(options, **local)


def log_curves(out: _Path, log_to: str, *, run: str | None = None) -> Logged:
    """Log the curves of an output folder to a tracker as ``dsi export --log-to`` does,
    and return what was logged.

    A second call brings them up to date and logs no point twice.

    Parameters
    ----------
    out : the output folder, or its URL.
    log_to : ``tensorboard:DIR``, ``wandb``, ``wandb:PROJECT``, ``mlflow`` or
        ``mlflow:URI``.
    run : the name of the run to log; all runs if None.

    Raises
    ------
    UsageError
        The folder is not a results folder, the run or the tracker is unknown, or the
        tracker's package is not installed.
    OutputError
        The tracker could not be written to.
    """
    from dsi_cli.tracking import destination

    folder, _copies = _downloaded(out)
    return destination(log_to).send(folder, run)


def open_results(out: _Path = layout.DEFAULT) -> Results:
    """Return the `Results` of a folder that ``dsi analyze`` wrote; dsi does not read
    the checkpoints.

    Parameters
    ----------
    out : the output folder, or its URL.

    Raises
    ------
    UsageError
        The folder does not exist, or is not a results folder.
    """
    return Results(*_downloaded(out))


open_run = open_results


def read_head(
    checkpoint: _Path,
    *,
    head: str | None = None,
    ema: bool = False,
    keep_extra_classes: bool = True,
) -> NDArray[np.float32]:
    """Return the classifier's weight ``(classes, features)`` of one checkpoint, without
    executing code in the file.

    Parameters
    ----------
    checkpoint : a file, or a folder that is one checkpoint (Hugging Face).
    head, ema, keep_extra_classes : as for `analyze`.

    Raises
    ------
    CheckpointError
        The file cannot be read, has no classifier, or has several ones; the message
        gives the reason.
    UsageError
        The path does not exist, or it is a folder of several checkpoints.
    """
    from dsi_cli.checkpoints import checkpoint_reader, discovery
    from dsi_cli.errors import CheckpointError

    files = [
        file for run in discovery.discover([checkpoint]) for file in run.checkpoints
    ]
    if len(files) != 1:
        message = f"{checkpoint} holds {len(files)} checkpoints"
        raise UsageError(
            message,
            hint="give read_head one of them",
            code="not-one-checkpoint",
            path=str(checkpoint),
            count=len(files),
        )
    result = checkpoint_reader.scan_checkpoint(
        files[0], checkpoint_reader.HeadOptions(head, ema, keep_extra_classes)
    )
    if result.weight is None:
        raise CheckpointError(
            f"{checkpoint}: {result.record.reason}",
            path=str(checkpoint),
            reason=result.record.reason,
        )
    return result.weight


def diff(
    first: _Path,
    second: _Path | None = None,
    *,
    run: str | Sequence[str] | None = None,
    epoch: int | Sequence[int] | None = None,
    labels: _Path | None = None,
    head: str | None = None,
    ema: bool = False,
    group: str | None = None,
) -> Difference:
    """Return what differs between two networks with the same classes: ``.headline``,
    ``.classes``, ``.pairs``, ``.groups``.

    Parameters
    ----------
    first, second : a checkpoint, a folder of one run, or an output folder of `analyze`;
        the second is the first folder by default.
    run, epoch : the run and the epoch in a folder, or one for each side; the only run
        and the last epoch by default.
    labels, head, ema : as for `analyze`, for checkpoints.
    group : a pattern of repetitions as for ``dsi compare --group``; their differences
        are then the usual ones.

    Raises
    ------
    UsageError
        A path, run or epoch does not exist, or the classes of the two networks differ.
    CheckpointError, NothingToAnalyseError
        A checkpoint cannot be used.
    """
    from dsi_cli.analysis import difference
    from dsi_cli.checkpoints.checkpoint_reader import HeadOptions

    return difference.diff(
        first,
        second,
        runs=[run] if isinstance(run, str) else list(run or ()),
        epochs=[
            results.whole_epoch(one)
            for one in (() if epoch is None else np.atleast_1d(epoch))
        ],
        labels=None if labels is None else fspath(labels),
        choice=HeadOptions(head, ema),
        group=group,
    )


def wordnet_csm(
    labels: _Path | Iterable[str],
    measure: str = DEFAULT_REFERENCES[0],
    taxonomy: _Path | None = None,
    *,
    pos: str = "noun",
    wordnet: str | None = None,
) -> pd.DataFrame:
    """Return the similarity of labels in WordNet ``(C, C)``, float64; NaN for labels
    without a synset.

    Parameters
    ----------
    labels : a list of WordNet ids, synset names or words; or a label file, or a
        preset's name.
    measure : ``path``, in (0, 1]; ``wup``, ``lch``, ``res:FILE``, ``lin:FILE`` or
        ``jcn:FILE``, with the values of NLTK.
    taxonomy : a file that replaces WordNet.
    pos, wordnet : as for `analyze`.

    Raises
    ------
    UsageError
        The file or preset cannot be read, the WordNet is not installed, or the measure
        does not use the taxonomy.

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

    database = load_wordnet(pos, wordnet)
    tree = hierarchy.open_taxonomy(None if taxonomy is None else str(taxonomy))
    reference = references.open_measure(str(measure), tree, database)
    source = fspath(labels) if isinstance(labels, PathLike) else labels
    if not isinstance(source, str):
        source = list(source) if isinstance(source, Iterable) else [source]
        for label in source:
            if not isinstance(label, str):
                raise UsageError(
                    f"labels takes texts, not {label!r}",
                    code="wrong-type",
                    field="labels",
                )
    resolved = wordnet_matrix.resolve_label_list(source, None, database)
    names = pd.Index(
        resolved.label_list.names if resolved.label_list else (), name="class"
    )
    return pd.DataFrame(reference.similarity(resolved), index=names, columns=names)
