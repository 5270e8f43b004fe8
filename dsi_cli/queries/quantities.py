"""The quantities that dsi computes at each epoch, declared once.

`QUANTITIES` is the table that the Python API, the report, the terminal, the figures,
the trackers and the comparison read. An entry declares the name of a quantity, its rows
in the curves table, and its texts. `select` and `select_frame` return the rows of a
curve, and `curve` returns a curve with its chance level as a DataFrame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dsi_cli.errors import UsageError, expected, suggestion
from dsi_cli.metrics import DISTANCES, MEASURES
from dsi_cli.store.schema import NETWORK_MATRICES, SPLITS, MatrixId

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

Row = Mapping[str, Any]
CurveKey = dict[str, str | None]
"""The values of the columns metric, of, split and variant that all rows of a curve
have. A curve of any variant has no key for the variant.
"""

SAI, WSI, IDM = "sai", "wsi", "idm"
AGREEMENT = "agreement"
PEARSON = "pearson"
ANY = "*"  # in place of a variant: the curve has rows of every variant
PREDICTIONS = "predictions"  # in place of a split: the split of the predictions
MATRIX = "matrix"  # in place of a split: the split of the network's matrix

QUESTIONS = (
    "Does its similarity agree with {reference}?",
    "How similar are neighbouring classes?",
    "Do mistakes follow its own similarity?",
    "Are mistakes semantically reasonable?",
)
"""The questions of the paper (arXiv 2505.21338) that quantities answer."""

RELABELLED = "mean over random relabellings of the classes"
SHUFFLED = "mean over predictions shuffled among the samples"
UNIFORM = "1 / classes"
RANDOM_HEAD = "value of a random head of the same shape"


class Quantity(NamedTuple):
    """One quantity.

    ``of`` contains ``{own}`` for the matrix of the network's similarity, ``{kind}`` for
    this matrix without its split, and ``{split}`` for the split of the predictions.
    """

    name: str  # the name in the Python API
    title: str
    metric: str  # the values of the columns in the curves table
    of: str | None = None
    split: str | None = None
    variant: str | None = None
    column: str = "value"  # the column of the values: value or excess
    axis: str = ""  # the label of the vertical axis: the unit and the ends of the range
    unit: str = ""  # "%" for a share that is shown in percent
    digits: int = 2  # decimals of a value in texts
    range: str = ""  # the possible values; empty without a bound
    chance: str = ""  # the chance level; empty without one
    better: str = ""  # "higher" or "lower" if one of them is nearer to the ideal
    question: str = ""  # the question of the paper that the quantity answers
    panel: str | None = None  # the panel that draws it; None for a panel of its own
    tracker: str = ""  # the name in trackers; empty if it is not logged by default

    def key(self, own: str = NETWORK_MATRICES[0], split: str | None = None) -> CurveKey:
        """Return the key of the rows for a matrix of the network's similarity and a
        split of the predictions.
        """
        kind, own_split = MatrixId.parse(own)
        of = self.of
        if of is not None:
            of = of.format(own=own, kind=kind, split=split)
        splits = {PREDICTIONS: split, MATRIX: own_split}
        key = {"metric": self.metric, "of": of, "split": splits.get(self.split or "")}
        if self.variant != ANY:
            key["variant"] = self.variant
        return key

    @property
    def is_excess(self) -> bool:
        """True if the values are relative to chance: 0 is chance, and 1 is perfect."""
        return self.column == "excess"

    def text(self, value: float) -> str:
        """Return a value for readers.

        >>> quantity("widm").text(0.7312), quantity("agreement").text(-0.031)
        ('73 %', '−0.03')
        """
        if self.unit == "%":
            return f"{100 * value:.0f} %"
        return f"{value:z.{self.digits}f}".replace("-", "−")


MEASURE_TITLES = {
    PEARSON: "Agreement",
    "spearman": "Spearman correlation",
    "kendall": "Kendall's tau",
    "kendall_a": "Kendall's tau-a",
    "cosine": "Cosine SAI",
    "ssim": "SSIM",
    "mae": "MAE",
    "mse": "MSE",
}
"""The name of each measure of a SAI; only Pearson's correlation is called the
agreement. Any other measure has the title ``SAI by NAME``.
"""
CORRELATIONS = (PEARSON, "spearman", "kendall", "kendall_a")
"""The measures with the chance level 0; their excess is the value itself."""


def _alignments(measure: str) -> list[Quantity]:
    """Return the quantities of the SAI of the network's similarity and the reference by
    a measure: the excess over chance, and the raw value if it is another one.
    """
    title = MEASURE_TITLES.get(measure, f"SAI by {measure}")
    is_correlation = measure in CORRELATIONS
    excess = Quantity(
        f"{SAI}_{measure}" if is_correlation else f"excess_{measure}",
        title if is_correlation else f"{title} (excess)",
        SAI,
        of="{own},scsm",
        variant=measure,
        column="excess",
        axis="0 is chance, 1 is the same",
        range="at most 1",
        chance="0",
        better="higher",
        question=QUESTIONS[0],
        panel="excess",
    )
    if measure == PEARSON:
        return [excess._replace(name=AGREEMENT, tracker="dsi/agreement")]
    if is_correlation:
        return [excess]
    raw = excess._replace(
        name=f"{SAI}_{measure}",
        title=f"{title} (raw)",
        column="value",
        axis=f"SAI ({measure})",
        chance=RELABELLED,
        panel=SAI,
    )
    if measure in DISTANCES:
        axis = f"SAI ({measure}), lower is more similar"
        raw = raw._replace(axis=axis, better="lower", range="0 or more")
    return [excess, raw]


_MEASURES = (PEARSON, *(measure for measure in MEASURES if measure != PEARSON))
_ENTRIES = (
    *(entry for measure in _MEASURES for entry in _alignments(measure)),
    *(
        Quantity(
            f"agreement_{pairs}",
            f"Agreement {pairs} groups",
            "group_agreement",
            of="{own},scsm",
            variant=pairs,
            axis="0 is chance, 1 is the same",
            range="−1 to 1",
            chance=RELABELLED,
            better="higher",
            question=QUESTIONS[0],
        )
        for pairs in ("within", "between")
    ),
    Quantity(
        "seed_reliability",
        "Reliability over seeds",
        "seed_reliability",
        axis="mean correlation of two seeds",
        range="−1 to 1",
        chance="0",
    ),
    Quantity(
        "corrected_agreement",
        "Agreement corrected for seeds",
        "corrected_agreement",
        axis="0 is chance, 1 is the same",
        chance="0",
        better="higher",
        question=QUESTIONS[0],
    ),
    Quantity(
        "variance_partition",
        "Variance that references explain",
        "variance_partition",
        of="{own},scsm",
        variant=ANY,
        axis="share of the variance of the similarity",
        range="at most 1",
        chance="0",
        question=QUESTIONS[0],
    ),
    Quantity(
        "max_wsi",
        "Max WSI",
        WSI,
        of="{kind}",
        split=MATRIX,
        variant="max",
        axis="mean cosine, at most 1",
        range="−1 to 1",
        question=QUESTIONS[1],
        panel=WSI,
        tracker="dsi/max_wsi",
    ),
    Quantity(
        "mean_wsi",
        "Mean WSI",
        WSI,
        of="{kind}",
        split=MATRIX,
        variant="mean",
        axis="mean cosine",
        range="−1 to 1",
        question=QUESTIONS[1],
        panel=WSI,
    ),
    Quantity(
        "min_wsi",
        "Min WSI",
        WSI,
        of="{kind}",
        split=MATRIX,
        variant="min",
        axis="mean cosine",
        range="−1 to 1",
        question=QUESTIONS[1],
        panel=WSI,
    ),
    Quantity(
        "nidm_all",
        "NIDM of all predictions",
        IDM,
        of="{kind}",
        split=PREDICTIONS,
        variant="all",
        axis="share of classes farther from the truth",
        unit="%",
        range="0 to 1",
        chance=RELABELLED,
        better="higher",
        question=QUESTIONS[2],
        panel=IDM,
    ),
    Quantity(
        "widm_all",
        "WIDM of all predictions",
        IDM,
        of="scsm",
        split=PREDICTIONS,
        variant="all",
        axis="share of classes farther from the truth",
        unit="%",
        range="0 to 1",
        chance=RELABELLED,
        better="higher",
        question=QUESTIONS[3],
        panel=IDM,
    ),
    Quantity(
        "nidm",
        "NIDM of mistakes",
        IDM,
        of="{kind}",
        split=PREDICTIONS,
        variant="errors",
        axis="share of classes farther from the truth",
        unit="%",
        range="0 to 1",
        chance=RELABELLED,
        better="higher",
        question=QUESTIONS[2],
        panel="idm_errors",
        tracker="dsi/nidm",
    ),
    Quantity(
        "widm",
        "WIDM of mistakes",
        IDM,
        of="scsm",
        split=PREDICTIONS,
        variant="errors",
        axis="share of classes farther from the truth",
        unit="%",
        range="0 to 1",
        chance=RELABELLED,
        better="higher",
        question=QUESTIONS[3],
        panel="idm_errors",
        tracker="dsi/widm",
    ),
    Quantity(
        "accuracy",
        "Accuracy",
        "accuracy",
        split=PREDICTIONS,
        axis="accuracy",
        digits=3,
        range="0 to 1",
        chance=UNIFORM,
        better="higher",
        tracker="dsi/accuracy",
    ),
    Quantity(
        "accuracy_top5",
        "Top-5 accuracy",
        "accuracy_top5",
        split=PREDICTIONS,
        axis="accuracy",
        digits=3,
        range="0 to 1",
        better="higher",
        panel="accuracy",
    ),
    Quantity(
        "balanced_accuracy",
        "Balanced accuracy",
        "balanced_accuracy",
        split=PREDICTIONS,
        axis="accuracy",
        digits=3,
        range="0 to 1",
        chance=UNIFORM,
        better="higher",
        panel="accuracy",
    ),
    Quantity(
        "superclass_accuracy",
        "Superclass accuracy",
        "superclass_accuracy",
        split=PREDICTIONS,
        axis="accuracy",
        digits=3,
        range="0 to 1",
        chance=RELABELLED,
        better="higher",
        panel="accuracy",
    ),
    Quantity(
        "loss",
        "Loss",
        "loss",
        split=PREDICTIONS,
        axis="loss",
        digits=3,
        range="0 or more",
        better="lower",
    ),
    Quantity(
        "learning_rate",
        "Learning rate",
        "learning_rate",
        axis="learning rate",
        range="0 or more",
    ),
    Quantity(
        "mistakes",
        "Number of mistakes",
        "mistakes",
        split=PREDICTIONS,
        axis="mistakes",
        digits=0,
        range="0 or more",
        better="lower",
    ),
    Quantity(
        "severity",
        "Severity of mistakes",
        "severity",
        split=PREDICTIONS,
        axis="height of the lowest common hypernym, lower is nearer",
        range="0 or more",
        chance=RELABELLED,
        better="lower",
        question=QUESTIONS[3],
    ),
    *(
        Quantity(
            metric,
            title,
            metric,
            split=PREDICTIONS,
            variant="micro",
            axis="share of hypernyms, 1 is perfect",
            range="0 to 1",
            chance=SHUFFLED,
            better="higher",
            panel="hierarchy",
        )
        for metric, title in (
            ("hierarchical_precision", "Hierarchical precision"),
            ("hierarchical_recall", "Hierarchical recall"),
            ("hierarchical_f1", "Hierarchical F1"),
        )
    ),
    Quantity(
        "level_accuracy",
        "Accuracy at levels of the hierarchy",
        "level_accuracy",
        split=PREDICTIONS,
        variant=ANY,
        axis="accuracy",
        digits=3,
        range="0 to 1",
        chance=SHUFFLED,
        better="higher",
        panel="levels",
    ),
    Quantity(
        "gap",
        "Overfitting gap",
        "gap",
        of="ncsm,tncsm",
        variant=PEARSON,
        axis="agreement with templates, train minus test",
        range="−2 to 2",
    ),
    Quantity(
        "reliability",
        "Reliability of the confusion matrix",
        "reliability",
        of="ccsm",
        split=PREDICTIONS,
        axis="split-half reliability",
        range="at most 1",
        better="higher",
    ),
    Quantity(
        "mean_row",
        "Length of the mean weight row",
        "mean_row",
        of="ncsm",
        axis="relative to a row's mean length",
        range="0 to 1",
    ),
    Quantity(
        "nc1",
        "Variability within classes (NC1)",
        "nc1",
        of="templates",
        split=PREDICTIONS,
        axis="0: collapse",
        range="0 or more",
    ),
    Quantity(
        "nc3",
        "Difference of class vectors and class means (NC3)",
        "nc3",
        of="templates",
        split=PREDICTIONS,
        axis="0: collapse, at most 4",
        range="0 to 4",
    ),
    Quantity(
        "nc4",
        "Predictions of the class with the nearest mean (NC4)",
        "nc4",
        of="templates",
        split=PREDICTIONS,
        axis="share of samples",
        range="0 to 1",
    ),
    Quantity(
        "nc2_norms",
        "Unequal norms of the class vectors (NC2)",
        "nc2_norms",
        of="weight",
        variant="centred",
        axis="0 is a simplex",
        range="0 or more",
        chance=RANDOM_HEAD,
        panel="simplex",
    ),
    Quantity(
        "nc2_angles",
        "Unequal angles of the class vectors (NC2)",
        "nc2_angles",
        of="weight",
        variant="deviation",
        axis="0 is a simplex",
        range="0 or more",
        chance=RANDOM_HEAD,
        panel="simplex",
    ),
    Quantity(
        "effective_rank",
        "Effective rank of the head",
        "effective_rank",
        of="weight",
        variant="centred",
        axis="number of directions",
        range="1 or more",
        chance=RANDOM_HEAD,
    ),
)
QUANTITIES = {entry.name: entry for entry in _ENTRIES}
"""The quantities by name; the first one is the agreement."""


SEED_QUANTITIES = {
    "seed_reliability": "reliability",
    "corrected_agreement": "corrected",
}
"""The quantities of repeated trainings, which are in no table, with their columns of
`dsi_cli.api.Results.reliability`.
"""


class PanelSpec(NamedTuple):
    """The definition of a panel, which is one pair of axes."""

    name: str  # the name for the command line and for files
    title: str
    # the label of the vertical axis; ``{measure}`` is replaced by the measure of the
    # SAI
    axis: str
    metrics: tuple[str, ...]  # the values of the column ``metric`` in the curves table
    variants: tuple[str, ...] | None = None
    """The variants of the metrics; all if None. The variant of the SAI is the measure.
    """
    column: str = "value"  # the column of the curves table: value or excess


_SHARED_PANELS = {
    "excess": ("Alignment above chance", "SAI excess: 0 is chance, 1 is the same"),
    SAI: ("Similarity alignment index", "SAI ({measure})"),
    WSI: ("Weights similarity index", "WSI: cosine similarity"),
    IDM: ("How near predictions fall to the truth", "IDM of all predictions"),
    "idm_errors": ("How near mistakes fall to the truth", "IDM of mistakes"),
    "hierarchy": ("Scores by the hierarchy", "share of hypernyms, 1 is perfect"),
    "levels": ("Accuracy at levels of the hierarchy", "accuracy"),
    "simplex": ("Distance of the class vectors from a simplex", "0: simplex"),
}
"""The title and the axis of the panels that several quantities share. A panel of one
quantity has its title and axis.
"""
_PANELS_OF_ALL_VARIANTS = ("excess", SAI, WSI)


def _panel(name: str, members: list[Quantity]) -> PanelSpec:
    first = members[0]
    title, axis = _SHARED_PANELS.get(name, (first.title, first.axis))
    metrics = tuple(dict.fromkeys(member.metric for member in members))
    named = [member.variant for member in members if member.variant is not None]
    variants: tuple[str, ...] | None = tuple(dict.fromkeys(named))
    if name in _PANELS_OF_ALL_VARIANTS or ANY in named or not named:
        variants = None
    return PanelSpec(name, title, axis, metrics, variants, first.column)


def _panels() -> tuple[PanelSpec, ...]:
    members: dict[str, list[Quantity]] = {}
    for entry in QUANTITIES.values():
        members.setdefault(entry.panel or entry.name, []).append(entry)
    return tuple(_panel(name, entries) for name, entries in members.items())


PANELS = _panels()
"""The panels in the order of the quantities."""


def with_measures(measures: Iterable[str | None]) -> dict[str, Quantity]:
    """Return `QUANTITIES` with those of the measures that are plug-ins.

    >>> [name for name in with_measures(["mae", "lin"]) if name not in QUANTITIES]
    ['excess_lin', 'sai_lin']
    """
    plugins = [name for name in measures if name and name not in MEASURES]
    entries = [entry for name in plugins for entry in _alignments(name)]
    return QUANTITIES | {entry.name: entry for entry in entries}


def quantity(name: str, measures: Iterable[str | None] = ()) -> Quantity:
    """Return a quantity by name, with measures as in `with_measures`; raise
    `UsageError` if there is none (code ``unknown-quantity``).
    """
    known = with_measures(measures)
    if name not in known:
        raise UsageError(
            f"no quantity {name!r}: {expected(known)}",
            hint=suggestion(name, known) or "results.quantities() describes them",
            code="unknown-quantity",
            name=name,
        )
    return known[name]


def alignment(measures: Collection[str | None]) -> Quantity:
    """Return the quantity that stands for the agreement if only some measures were
    computed: the agreement, or else the first measure's excess.

    >>> alignment(["cosine", "pearson"]).name, alignment(["spearman", "mae"]).name
    ('agreement', 'excess_mae')
    """
    for entry in with_measures(measures).values():
        if entry.is_excess and entry.variant in measures:
            return entry
    return QUANTITIES[AGREEMENT]


def measures(rows: Iterable[Row]) -> list[str]:
    """Return the measures of the SAI in rows of the curves table: those of `MEASURES`
    in its order, then those of plug-ins.
    """
    variants = dict.fromkeys(row["variant"] for row in rows if row["metric"] == SAI)
    own = [measure for measure in MEASURES if measure in variants]
    return own + [name for name in variants if name not in MEASURES]


def network_matrix(rows: Iterable[Row]) -> str:
    """Return the name of the matrix of the network's similarity in rows of the curves
    table; ncsm if they have none.
    """
    known = set()
    for row in rows:
        if row["metric"] == SAI:
            known.add(row["of"].partition(",")[0])
        elif row["metric"] == WSI:
            known.add(str(MatrixId(row["of"], row.get("split"))))
    named = (name for name in NETWORK_MATRICES if name in known)
    return next(named, NETWORK_MATRICES[0])


def select(rows: Iterable[Row], key: Mapping[str, str | None]) -> list[Any]:
    """Return the rows of a curve among rows of the curves table.

    >>> row = {"metric": "wsi", "of": "ncsm", "split": None, "variant": "max"}
    >>> key = quantity("max_wsi").key()
    >>> select([row, row | {"variant": "min"}], key) == [row]
    True
    """
    selected = list(rows)
    for name, value in key.items():
        selected = [row for row in selected if row.get(name) == value]
    return selected


def select_frame(curves: pd.DataFrame, key: Mapping[str, str | None]) -> pd.DataFrame:
    """Return the rows of a curve in a DataFrame of the curves table."""
    mask = np.ones(len(curves), dtype=bool)
    for name, value in key.items():
        column = curves[name]
        has_value = column.isna() if value is None else column == value
        mask &= has_value.to_numpy(dtype=bool, na_value=False)
    return curves[mask]


def point(row: Row, entry: Quantity, classes: int | None = None) -> dict[str, Any]:
    """Return the value of a quantity in a row of the curves table, with its chance
    level and interval; missing ones are None.

    The interval of a SAI is that of its excess, so a raw SAI has none. The chance level
    of an accuracy follows from the number of classes.
    """
    names = ("low", "high", "z", "p_value")
    values = {name: row[name] for name in names}
    chance, spread = row["null_mean"], row["null_std"]
    if entry.chance == UNIFORM:
        chance = 1 / classes if classes else None
    if entry.metric == SAI and not entry.is_excess:
        values |= {"low": None, "high": None}
    if entry.is_excess and entry.variant != PEARSON and chance is not None:
        # The excess has its own scale, on which chance is 0.
        scale = chance if entry.variant in DISTANCES else 1 - chance
        spread = spread / scale if spread is not None and scale else None
        chance = 0.0
    value = row[entry.column]
    if value is None and entry.variant in CORRELATIONS:
        value = row["value"]  # Kendall's tau needs --permutations for its excess
    return values | {"value": value, "chance": chance, "chance_std": spread}


CURVE_COLUMNS = (
    *("run", "epoch", "step", "split", "variant"),
    *("value", "low", "high", "chance", "chance_std", "z", "p_value"),
)
"""The columns of `curve`."""


def curve(results: Results, name: str, split: str | None = None) -> pd.DataFrame:
    """Return the curve of a quantity in each run, with `CURVE_COLUMNS`.

    There is one row per run and epoch with a value, that of the last save of the epoch.
    The rows are those of the main reference. For a quantity of `SEED_QUANTITIES`, the
    run is the name of a group of repetitions, and there is no row without repetitions.
    Raise `UsageError` for an unknown quantity or split.

    Parameters
    ----------
    results : the results folder, or one of its runs.
    name : the name of the quantity, such as ``agreement``; `frame` lists all.
    split : ``test`` or ``train``; test if None, or train without values on test.
    """
    import pandas as pd

    from dsi_cli.queries.records import records

    entry = quantity(name, measures(_keys(results.curves)))
    if name in SEED_QUANTITIES:
        from dsi_cli.queries.comparison.reliability import usual_repetitions

        found = usual_repetitions(results).curve(name)
        return found.reindex(columns=list(CURVE_COLUMNS))
    if split not in (None, *SPLITS):
        message = f"{split!r} is not a split: {expected(SPLITS)}"
        hint = suggestion(split, SPLITS)
        raise UsageError(message, hint=hint, code="unknown-split", split=split)
    points = []
    for run in results.names:
        rows = results.curves_of(run)
        own = network_matrix(_keys(rows))
        for part in SPLITS if split is None else (split,):
            found = select_frame(rows, entry.key(own, part))
            found = found[found["value"].notna()]
            if len(found):
                break
        keys = ["variant"] if entry.variant == ANY else []
        classes = len(results.rows_of("classes", run))
        for row in records(results.last_saves(found, *keys)):
            values = point(row, entry, classes)
            if values["value"] is not None:
                place = {column: row[column] for column in CURVE_COLUMNS[:5]}
                points.append(place | values)
    frame = pd.DataFrame(points, columns=list(CURVE_COLUMNS))
    numbers = dict.fromkeys(CURVE_COLUMNS[5:], "float64")
    return frame.astype(numbers | {"epoch": "int64", "step": "Int64"})


def _keys(curves: pd.DataFrame) -> Iterable[Row]:
    """Return the different curves of the curves table as rows."""
    from dsi_cli.queries.records import records

    return records(curves[["metric", "of", "split", "variant"]].drop_duplicates())


def frame() -> pd.DataFrame:
    """Return the table of the quantities, with one row per quantity and their names as
    index.
    """
    import pandas as pd

    table = pd.DataFrame([entry._asdict() for entry in QUANTITIES.values()])
    question = [text.format(reference="WordNet") for text in table["question"]]
    return table.assign(question=question).set_index("name")
