"""The Python API: the functions of `dsi_cli` on files and folders, on top of
`dsi_cli.analysis`.

Each function does the same as its command, and raises an error where the command prints
one line and exits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.metrics.differences import Difference as MetricDifference
    from dsi_cli.queries.difference import Difference
    from dsi_cli.remote.download import TemporaryFolder
    from dsi_cli.report.notebook_card import ReportFrame
    from dsi_cli.tracking import Logged

from dsi_cli.analysis.option_groups.keywords import AnalyzeOptions, documented
from dsi_cli.errors import UsageError
from dsi_cli.metrics import DEFAULT_REFERENCES
from dsi_cli.remote import urls
from dsi_cli.store import layout, results

_Path = str | PathLike[str]


@documented
def analyze(
    checkpoints: _Path | Sequence[_Path],
    out: _Path = layout.DEFAULT,
    **options: Unpack[AnalyzeOptions],
) -> Results:
    """Analyse checkpoints as ``dsi analyze`` does, and return the `Results` of the
    output folder.

    Later calls with the same output folder use the labels, the mapping, the references,
    the taxonomy and the predictions again, and ``pos``, ``wordnet``, ``names``,
    ``head``, ``ema`` and ``keep_extra_classes``. Another value replaces one; ``"none"``
    removes it.

    Parameters
    ----------
    checkpoints : one or several files, folders or glob patterns, or URLs of these.
    out : the output folder; a second call brings it up to date and reads only what is
        new.
    **options : the options of ``dsi analyze``, and those of Python alone.

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

    Examples
    --------
    >>> results = analyze("ckpts", "dsi-out", labels="cifar100", epochs="0:30:15")
    >>> results.curve("agreement")["value"].round(2).tolist()
    [-0.03, 0.49, 0.49]
    """
    from dsi_cli.analysis import analyze, report_file
    from dsi_cli.analysis.options import make_options
    from dsi_cli.tracking import destinations

    unknown = options.keys() - AnalyzeOptions.__annotations__
    if unknown:
        raise TypeError(
            f"analyze() got an unexpected keyword argument {min(unknown)!r}"
        )
    trackers = destinations(options.get("log_to") or ())
    checked = make_options(options, options.get("evaluation"))
    paths = _paths(checkpoints)
    urls.require_local_output(out)
    folder = Path(urls.local_path(out))
    with urls.urls_in_messages():
        summary = analyze.analyze(paths, folder, checked)
        if options.get("report", True):
            report_file.add_report(summary)
        summary.send_curves(trackers)
    problems = [
        f"the tables in {out} are complete, but {problem}"
        for problem in summary.problems
    ]
    texts = [message.line for message in summary.messages]
    for text in (*texts, *problems):
        warnings.warn(urls.show_urls(text), stacklevel=2)
    return Results(folder)


def _paths(checkpoints: Any) -> list[_Path]:
    """Return one or several paths as a list; raise `UsageError` for other values."""
    is_one = isinstance(checkpoints, str | PathLike)
    if is_one or not isinstance(checkpoints, Iterable):
        checkpoints = [checkpoints]
    paths = list(checkpoints)
    for path in paths:
        if not isinstance(path, str | PathLike):
            message = (
                f"checkpoints takes files, folders or URLs, not {type(path).__name__}"
            )
            raise UsageError(message, code="wrong-type", field="checkpoints")
    return paths


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

    Examples
    --------
    >>> results = open_results("dsi-demo")
    >>> results.names
    ['cifar100-cnn', 'cifar100-vit']
    >>> cnn = results["cifar100-cnn"]
    >>> print(cnn.curve("agreement")["value"].iloc[-1].round(2))
    0.49
    >>> print(cnn.csm("ncsm").loc["oak_tree", "maple_tree"].round(2))
    0.66
    """

    # These methods need `dsi_cli.queries` and `dsi_cli.report`, which import the
    # `Results` of the store. So the store cannot import them.

    def curve(self, name: str, *, split: str | None = None) -> pd.DataFrame:
        """Return the curve of a quantity, such as ``agreement``, ``widm`` or
        ``accuracy``, in each run.

        Parameters
        ----------
        name : the name of the quantity; `quantities` lists all.
        split : ``test`` or ``train``, for a quantity of predictions; test if None, or
            train without values on test.

        Returns
        -------
        curve : one row per run and epoch with a value, from the main reference and the
            last save of the epoch. The columns are ``run``, ``epoch``, ``step``,
            ``split``, ``variant`` and ``value``; the 95 % confidence interval from
            ``low`` to ``high``; the chance level ``chance`` with its standard deviation
            ``chance_std``; ``z``, the number of standard deviations above chance; and
            ``p_value`` in [0, 1]. `quantities` has the range of each value. Unknown
            values are NaN.

        Raises
        ------
        UsageError
            The quantity or the split is unknown.
        """
        from dsi_cli.queries import quantities

        return quantities.curve(self, name, split)

    def findings(self) -> pd.DataFrame:
        """Return the last and the highest value of each quantity that the closing
        screen of ``dsi analyze`` shows, and of the loss.

        Returns
        -------
        findings : one row per ``run``, ``quantity`` and ``split``. ``value`` is that of
            the last ``epoch`` with a value, with its 95 % confidence interval from
            ``low`` to ``high``, its chance level ``chance`` with the standard deviation
            ``chance_std``, ``z`` and ``p_value``; `quantities` has the ranges. ``peak``
            is the highest value, at ``peak_epoch``. ``is_above_chance`` is true if the
            values of all epochs together are above chance. Unknown values are missing.
            ``attrs["headline"]`` states the finding of all runs.

        Examples
        --------
        >>> found = open_results("dsi-demo").findings().query("quantity == 'agreement'")
        >>> found[["run", "epoch", "value"]].round(2).values.tolist()
        [['cifar100-cnn', 30, 0.49], ['cifar100-vit', 30, 0.46]]
        """
        from dsi_cli.queries.findings import findings

        return findings(self)

    def summary(self) -> pd.DataFrame:
        """Return the main values of each epoch of each run.

        Returns
        -------
        summary : one row per ``run`` and ``epoch``, which is missing for a single
            checkpoint without one. ``agreement`` is 0 at chance and 1 for equal
            matrices. ``value`` is the raw SAI by the first ``measure``, with its chance
            level ``chance``, the ``excess`` over it (0 at chance, 1 at identity), ``z``
            and the ``reason`` for a missing value. ``max_wsi`` and ``min_wsi`` are
            cosines in [-1, 1], and ``accuracy`` (on test) and ``train_accuracy`` are in
            [0, 1].

        Examples
        --------
        >>> found = open_results("dsi-demo")["cifar100-cnn"].summary()
        >>> found[["epoch", "agreement", "accuracy"]].iloc[-1].round(2).tolist()
        [30.0, 0.49, 0.64]
        """
        from dsi_cli.queries.epoch_summary import summary

        return summary(self)

    def difference(
        self,
        run: str | Sequence[str] | None = None,
        epoch: int | Sequence[int] | None = None,
    ) -> pd.DataFrame:
        """Return what differs between two runs, or between two epochs of a run, by
        class; `diff` compares checkpoints, too.

        Parameters
        ----------
        run, epoch : one for both sides, or one for each side; the only run and the last
            epoch by default.

        Returns
        -------
        difference : one row per class that moved by more than rounding, the most
            changed first, with the columns of ``diff_classes.parquet`` in
            ``docs/tables.md``. ``attrs["headline"]`` states the finding.

        Raises
        ------
        UsageError
            A run or epoch does not exist, or the classes of the two runs differ.

        Examples
        --------
        >>> found = open_results("dsi-demo").difference("cifar100-cnn", [15, 30])
        >>> len(found), found["name"].iloc[0]
        (100, 'otter')
        """
        found = diff(self.path, run=run, epoch=epoch)
        moved = found.moved
        moved.attrs["headline"] = found.headline
        return moved

    def angle_last(self, run: str | None = None) -> pd.DataFrame:
        """Return the angle in degrees of each class vector of a run to that at the last
        epoch.

        Parameters
        ----------
        run : the name of the run; not needed if there is only one.

        Returns
        -------
        angles : one row per class index, one column per epoch. An angle is in [0, 180],
            and about 90 is chance; NaN if one of the vectors is zero or missing.

        Raises
        ------
        UsageError
            The run is unknown, or there are several.
        """
        from dsi_cli.queries import run_classes

        return run_classes.angle_last(self, self.run_name(run))

    @staticmethod
    def quantities() -> pd.DataFrame:
        """Return all quantities, one row per name: title, rows in the curves table,
        axis, unit, range, chance level, which direction is better, and its question.
        """
        from dsi_cli.queries import quantities

        return quantities.frame()

    def reliability(self, group: str = "seed") -> pd.DataFrame:
        """Return the reliability of the similarities over the seeds of each training,
        and the agreement corrected for it (Spearman 1904). Both are 0 at chance.

        Each network needs two trainings that differ by the seed alone, and three for
        intervals.

        Parameters
        ----------
        group : a pattern of repetitions, as for ``dsi compare --group``.

        Returns
        -------
        reliability : one row per ``group`` and ``epoch`` (epochs completed if all runs
            have it). ``seeds`` is the number of runs, and ``classes_used`` that of
            classes. ``agreement`` in [-1, 1] is the mean agreement of the runs with the
            main reference, ``reliability`` in [-1, 1] the mean correlation of two runs'
            matrices, and ``corrected`` the agreement divided by the square root of the
            reliability.
            ``agreement_low`` to ``agreement_high``, ``reliability_low`` to
            ``reliability_high``, and ``low`` to ``high`` (of ``corrected``) are 95 %
            confidence intervals over seeds and classes. ``seeds_low`` to ``seeds_high``
            and ``classes_low`` to ``classes_high`` are those of ``corrected`` over
            seeds or classes alone. ``reason`` explains a missing value.

        Raises
        ------
        UsageError
            The pattern matches no run, or no group has two runs.
        """
        from dsi_cli.queries.comparison.reliability import results_reliability

        return results_reliability(self, group).table

    def variance_partition(
        self, run: str | None = None, *, permutations: int = 999
    ) -> pd.DataFrame:
        """Return the shares of a run's similarity that its first two or three references
        explain alone and together, by epoch.

        Parameters
        ----------
        run : the run; needed only if the folder holds several runs.
        permutations : the number of relabellings for the p-values.

        Returns
        -------
        partition : one row per ``run``, ``epoch`` and ``part``: "only A" for each
            reference, "A and B" for what they share, and "total". ``share`` is a share
            of the variance: at most 1, and a shared part may be negative. ``low`` to
            ``high`` is its 95 % confidence interval over classes. ``p_value`` is that
            of a reference given the others, by double semi-partialing (Dekker,
            Krackhardt and Snijders 2007). ``classes_used`` is the number of classes.
            ``attrs["sentence"]`` states the last epoch.

        Raises
        ------
        UsageError
            The run has fewer than two references, or one follows from the others.
        """
        from dsi_cli.queries.variance_partition import partition_by_epoch

        return partition_by_epoch(self, run, permutations)

    def robustness(
        self,
        run: str | None = None,
        *,
        epoch: int | None = None,
        measures: Sequence[str] = ("path", "lch", "wup", "lin"),
        clusters: str | None = None,
    ) -> pd.DataFrame:
        """Return the agreement of a run by several WordNet measures and correlations,
        and within and between groups of classes.

        Choose the main one before you look: path similarity and Pearson's correlation
        by default.

        Parameters
        ----------
        run : the run; needed only if the folder holds several runs.
        epoch : the epoch; the last one if None.
        measures : similarities of synsets, as for ``--reference``. The first is the
            main one.
        clusters : clusters of classes, as for ``dsi compare --clusters``; the intervals
            are over single classes if None.

        Returns
        -------
        robustness : one row per ``measure``, ``pairs`` (all, within groups, between
            groups) and ``correlation`` (pearson, spearman). The groups are those of the
            quantity ``agreement_within``. ``agreement`` is in [-1, 1] and 0 at chance;
            ``low`` to ``high`` is its 95 % confidence interval. ``null_mean`` and
            ``null_std`` describe relabellings, and ``z`` is the number of standard
            deviations above. ``differs`` is true if the sign of the agreement, or
            whether its interval excludes 0, differs from the main row.

        Raises
        ------
        UsageError
            The run or the epoch does not exist, or the run has no WordNet labels.
        """
        from dsi_cli.analysis.robustness import robustness

        return robustness(self, run, epoch, measures, clusters)

    def error_consistency(
        self, first: str, second: str, *, epoch: int | None = None, split: str = "test"
    ) -> MetricDifference:
        """Return Cohen's kappa of two runs being right on the same samples (Geirhos et
        al. 2020).

        It is in [-1, 1]: 0 if they agree as often as independent networks of their
        accuracies, and 1 if they are right on exactly the same samples.

        Parameters
        ----------
        first, second : the names of the runs.
        epoch : the epoch; the last one of each run if None.
        split : ``test`` or ``train``.

        Returns
        -------
        kappa : ``value`` is kappa with its 95 % confidence interval over samples from
            ``low`` to ``high``; ``first`` and ``second`` are the accuracies.

        Raises
        ------
        UsageError
            A run or its predictions do not exist, or the samples differ.
        """
        from dsi_cli.metrics.error_consistency import error_consistency

        samples = [
            self.predictions(epoch, split, run).sort_values("sample")
            for run in (first, second)
        ]
        targets = [one["target"].to_numpy() for one in samples]
        if not np.array_equal(targets[0], targets[1]):
            message = f"{first} and {second} were not tested on the same samples"
            raise UsageError(message, code="other-samples")
        is_right = [(one["target"] == one["prediction"]).to_numpy() for one in samples]
        return error_consistency(*is_right)

    def to_rsatoolbox(self, run: str | None = None, kind: str | None = None) -> Any:
        """Return a run's matrices of all epochs as an ``RDMs`` object of rsatoolbox.

        The dissimilarities are 1 - similarity, in [0, 2], as ``(epochs, C (C - 1) /
        2)``; classes that a matrix lacks are NaN. ``compare(RDMs, RDMs, "corr")`` of
        rsatoolbox equals the agreement.

        Parameters
        ----------
        run : the run; needed only if the folder holds several runs.
        kind : ``ncsm``, ``ncsm_centred``, ``ccsm``, ``tncsm``, or ``scsm`` for the
            reference; the network's own if None.

        Raises
        ------
        UsageError
            rsatoolbox is not installed, or the run has no such matrix.
        """
        from dsi_cli.queries.rsa_toolbox import to_rsatoolbox

        return to_rsatoolbox(self, run, kind)

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

        Returns
        -------
        frame : the HTML of the frame is its ``_repr_html_()``.

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
    with urls.urls_in_messages():
        return download.fetch_results(fspath(out), copies.path), copies


def log_curves(
    out: _Path, log_to: str, *, run: str | None = None, all_curves: bool = False
) -> Logged:
    """Log the main curves of an output folder to a tracker as ``dsi export --log-to`` does,
    and return what was logged.

    A second call brings them up to date and logs no point twice.

    Parameters
    ----------
    out : the output folder, or its URL.
    log_to : ``tensorboard:DIR``, ``wandb``, ``wandb:PROJECT``, ``trackio``,
        ``trackio:PROJECT``, ``mlflow``, ``mlflow:URI``, or ``NAME:TARGET`` of a plug-in.
    run : the name of the run to log; all runs if None.
    all_curves : bool, whether to log every row of the curves tables, too.

    Returns
    -------
    logged : the number of ``runs`` and of ``points``, the ``place``, and ``next_step``,
        the command that shows the curves.

    Raises
    ------
    UsageError
        The folder is not a results folder, the run or the tracker is unknown, or the
        tracker's package is not installed.
    OutputError
        The tracker could not be written to.

    Examples
    --------
    >>> log_curves("dsi-demo", "tensorboard:logs").runs
    2
    """
    from dsi_cli.tracking import destination

    folder, _copies = _downloaded(out)
    return destination(log_to).send(folder, run, all_curves=all_curves)


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

    Examples
    --------
    >>> open_results("dsi-demo").names
    ['cifar100-cnn', 'cifar100-vit']
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
    """Return the classifier's weight ``(classes, features)`` float32 of one checkpoint,
    without executing code in the file. All values are finite.

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

    Examples
    --------
    >>> read_head("ckpts/epoch_030.safetensors").shape
    (100, 320)
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
    """Return what differs between two networks with the same classes.

    Its ``.headline`` is a sentence. ``.classes``, ``.pairs`` and ``.groups`` are the
    tables ``diff_classes``, ``diff_pairs`` and ``diff_groups`` of ``docs/tables.md``.
    Angles are in degrees, in [0, 180], and cosines in [-1, 1].

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

    Examples
    --------
    >>> found = diff("ckpts/epoch_020.safetensors", "ckpts/epoch_030.safetensors")
    >>> print(found.classes["angle"].median().round(1))
    4.9
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
    measure : ``path`` or ``wup``, in (0, 1]; ``lin:FILE``, in [0, 1]; ``lch``,
        ``res:FILE`` or ``jcn:FILE``, 0 or more. The values are those of NLTK, and
        ``docs/method.md`` gives the source of each.
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
