"""The functions that a notebook calls, over `dsi_cli.pipeline`; `dsi_cli` itself hands them out.

Each says the same as its command, and raises where the command prints one line and exits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.pipeline.options import Evaluation
    from dsi_cli.store.runs import Run

from dsi_cli.metrics import DEFAULT_MEASURES, DEFAULT_REFERENCES, WSI_QUANTILE
from dsi_cli.store import output

_Path = str | PathLike[str]


def analyze(
    checkpoints: _Path | Sequence[_Path],
    out: _Path = output.DEFAULT,
    *,
    labels: str | PathLike[str] | None = None,
    references: Iterable[str] = DEFAULT_REFERENCES,
    taxonomy: _Path | None = None,
    epochs: str | None = None,
    head: str | None = None,
    ema: bool = False,
    keep_extra_classes: bool = False,
    centred: bool = False,
    measures: Iterable[str] = DEFAULT_MEASURES,
    quantiles: Iterable[float] = (WSI_QUANTILE,),
    permutations: int | None = None,
    draws: int | None = None,
    evaluation: Evaluation | None = None,
    memory: int | None = None,
    report: bool = True,
) -> Run:
    """Analyse checkpoints as ``dsi analyze`` does, and return the `Run` of the output folder.

    Parameters
    ----------
    checkpoints : one or several files, folders or glob patterns
    out : the output folder; a second call brings it up to date and reads only what is new
    labels : a label file, or the name of a preset; None: what lies beside the checkpoints or in them
    references : what the networks are compared with, the main one first: ``path``, ``wup``, ``lch``, ``res:FILE``, ``lin:FILE``,
        ``jcn:FILE``, or the file of a matrix (.csv, .parquet, .npy)
    taxonomy : a CSV file of child and parent in place of WordNet, for ``path``, ``wup`` and ``lch``
    epochs : ``first:last:step``, ``last`` included
    head : the name of the classifier's weight, where it cannot be told
    ema : averaged weights instead of raw ones
    keep_extra_classes : keep rows for no object or background
    centred : also the NCSM without the mean weight row
    measures : of the SAI, names out of `dsi_cli.metrics.MEASURES`
    quantiles : of the max and min WSI
    permutations, draws : see `dsi_cli.alignments`
    evaluation : where the networks' answers on labelled data come from: predictions, or data and the model
    memory : bytes that comparing matrices may take; where they need more it is done by blocks of rows. None: half of what is free
    report : also write ``report.html`` into the output folder

    Raises
    ------
    UsageError, NothingToAnalyseError, OutputError
        As `dsi_cli.pipeline.analysis.analyze`.
    """
    from dsi_cli.checkpoints.scan import Choice
    from dsi_cli.errors import OutputError
    from dsi_cli.pipeline import analysis, reporting
    from dsi_cli.pipeline.options import Evaluation, Options

    options = Options(
        labels=None if labels is None else str(labels),
        references=tuple(references),
        taxonomy=None if taxonomy is None else str(taxonomy),
        epochs=epochs,
        choice=Choice(head, ema, keep_extra_classes),
        centred=centred,
        measures=tuple(measures),
        quantiles=tuple(quantiles),
        permutations=permutations,
        draws=draws,
        memory=memory,
        evaluation=evaluation or Evaluation(),
    )
    paths = [checkpoints] if isinstance(checkpoints, str | PathLike) else list(checkpoints)
    summary = analysis.analyze(paths, out, options)
    if report:
        reporting.add(summary)
        if summary.report_problem is not None:
            raise OutputError(summary.report_problem)
    return open_run(out)


def open_run(out: _Path = output.DEFAULT) -> Run:
    """Return the `Run` of a folder that ``dsi analyze`` wrote; the checkpoints are not needed for it.

    Raises
    ------
    UsageError
        The folder is not there, or is no output.
    """
    from dsi_cli.store.runs import Run

    return Run(Path(out))


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
    from dsi_cli.checkpoints import discover, scan
    from dsi_cli.errors import CheckpointError, UsageError

    found = [one for run in discover.discover([checkpoint]) for one in run.checkpoints]
    if len(found) != 1:
        raise UsageError(f"{checkpoint} holds {len(found)} checkpoints: read_head wants one")
    scanned = scan.scan(found[0], scan.Choice(head, ema, keep_extra_classes), with_fingerprint=False)
    if scanned.weight is None:
        raise CheckpointError(f"{checkpoint}: {scanned.record.reason}")
    return scanned.weight


def wordnet_csm(
    labels: _Path | Sequence[str], measure: str = DEFAULT_REFERENCES[0], taxonomy: _Path | None = None
) -> pd.DataFrame:
    """Return WordNet 3.0's similarity of labels ``(C, C)``, float64; NaN for labels without a synset.

    Parameters
    ----------
    labels : a list of WordNet ids, synset names or words; or a label file, or a preset's name
    measure : ``path``, in (0, 1]; ``wup``, ``lch``, ``res:FILE``, ``lin:FILE`` or ``jcn:FILE``, as NLTK has them
    taxonomy : a CSV file of child and parent in place of WordNet

    Raises
    ------
    UsageError
        The file or preset cannot be read.

    Examples
    --------
    >>> wordnet_csm(["dog", "cat", "n02958343"]).round(3).loc["dog", "cat"]
    np.float64(0.2)
    """
    import pandas as pd

    from dsi_cli.pipeline import reference, references

    (opened,) = references.open_all([measure], None if taxonomy is None else str(taxonomy))
    one = reference.of(fspath(labels) if isinstance(labels, PathLike) else labels)
    names = pd.Index(one.labels.names if one.labels else (), name="class")
    return pd.DataFrame(opened.similarity(one), index=names, columns=names)
