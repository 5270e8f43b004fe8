"""The tables of a results folder with their columns, types and meanings; the writer,
the docs and the tests use them.
"""

from __future__ import annotations

from typing import NamedTuple

from dsi_cli.suspect_kinds import GRADES, KIND_NAMES, SOURCES

SCHEMA_VERSION = 1
TEXT, INTEGER, FLOAT, FLAG = "string", "int64", "double", "bool"
TEXTS, FLOATS, INTEGERS = "list<string>", "list<float>", "list<int64>"
UNCERTAIN = 0.85
"""The confidence below which a person should check a synset: an eighth of ImageNet-1k,
with six of seven wrong synsets.
"""
HEAD_KINDS = ("ncsm", "ncsm_centred")
MATRIX_KINDS = (*HEAD_KINDS, "ccsm", "tncsm", "scsm")
SPLITS = ("test", "train")
SPLIT_KINDS = ("ccsm", "tncsm")  # kinds of matrices that belong to a split
NETWORK_MATRICES = ("ncsm", "tncsm-test", "tncsm-train")
"""The names of matrices that hold the network's own similarity; the first one that an
epoch has is used.
"""


class Column(NamedTuple):
    """One column; any value may be null unless its meaning excludes this."""

    name: str
    type: str
    meaning: str


class Table(NamedTuple):
    """One table, stored as a file of this name or as a folder of files."""

    path: str
    row: str
    columns: tuple[Column, ...] = ()

    def with_columns(self, *columns: Column) -> Table:
        """Return the table with its columns."""
        return self._replace(columns=columns)


def _pair(first: str, second: str, type: str, meaning: str) -> tuple[Column, Column]:
    return Column(first, type, meaning), Column(second, type, meaning)


_RUN = Column("run", TEXT, "name of the run; never null")
_EPOCH = Column("epoch", INTEGER, "the trainer's number of the epoch")
_COMPLETED = Column(
    "epochs_completed", INTEGER, "finished epochs, if dsi knows how the trainer counts"
)
_STEP = Column("step", INTEGER, "optimiser steps")
_TIME = (_EPOCH, _COMPLETED, _STEP)
_SAVE = (_RUN, *_TIME)  # columns of a checkpoint
_SAVE_OF_SPLIT = (_RUN, Column("split", TEXT, "train or test; never null"), *_TIME)
_CLASS = Column("class_index", INTEGER, "row of the head, from 0; never null")
_NAME = Column("name", TEXT, "the label")
_SIMILARITY = Column(
    "similarity",
    FLOATS,
    "raw similarity to each class in order of class_index; null for a missing class",
)
_SELF_DUALITY = "cosine of the centred class vector and mean feature (NC3): 0 is chance"
_NEAREST_CENTRE = (
    "share of samples predicted as the class with the nearest mean feature (NC4)"
)

CHECKPOINTS = Table("checkpoints.parquet", "one checkpoint file").with_columns(
    _RUN,
    Column("path", TEXT, "absolute path of the file or folder"),
    _EPOCH,
    _COMPLETED,
    Column(
        "epoch_source",
        TEXT,
        "contents, name pattern, file name, folder name, commit title, revision name or"
        " order",
    ),
    _STEP,
    Column("format", TEXT, "container"),
    Column("trainer", TEXT, "the library that wrote the file"),
    Column("bytes", INTEGER, "size on disk, shards together"),
    Column("head", TEXT, "name of the classifier's weight"),
    Column("weights_used", TEXT, "raw or ema"),
    Column("classes", INTEGER, "compared classes"),
    Column("features", INTEGER, "width of the head"),
    Column("extra_classes", INTEGER, "rows for no object or background"),
    Column("dtype", TEXT, "type of the stored weight"),
    Column("fingerprint", TEXT, "SHA-256 of the head"),
    Column(
        "status",
        TEXT,
        "ok, failed, skipped (a duplicate, or not among --epochs) or pending (still"
        " being written)",
    ),
    Column("reason", TEXT, "why the status is not ok, or a warning"),
    Column("code", TEXT, "stable name of the reason, such as cut-off or duplicate"),
    Column("modified_ns", INTEGER, "time of the last change, in ns since 1970"),
)
CLASSES = Table("classes.parquet", "one class").with_columns(
    _RUN,
    Column("labels_id", TEXT, "the label list; null without labels"),
    _CLASS,
    _NAME,
    Column("synset", TEXT, "WordNet synset, e.g. dog.n.01"),
    Column("wnid", TEXT, "its WordNet id, e.g. n02084071"),
    Column("definition", TEXT, "WordNet's gloss"),
    Column(
        "resolved_by",
        TEXT,
        "wnid, synset, preset, map, synonyms, only sense, chosen sense, spelling, head"
        " noun, head verb, unresolved, or placeholder",
    ),
    Column("confidence", FLOAT, f"0 to 1; check the synset below {UNCERTAIN}"),
    Column("candidates", TEXTS, "possible synsets, the most likely first"),
    Column("candidate_scores", FLOATS, "their probabilities; empty if an id decides"),
    Column("reason", TEXT, "why this synset, or why none"),
    Column("display_order", INTEGER, "position in figures and lists, from 0"),
    Column("group", TEXT, "hypernym, e.g. carnivore.n.01, or the list's superclass"),
    *_pair(
        "samples_train", "samples_test", INTEGER, "number of its samples in the split"
    ),
)
CURVES = Table("curves.parquet", "one point of a curve").with_columns(
    *_SAVE,
    Column(
        "metric",
        TEXT,
        "sai, idm, wsi, mean_row, reliability, accuracy, accuracy_top5,"
        " balanced_accuracy, superclass_accuracy, mistakes, severity, loss,"
        " learning_rate. In `extra_curves.parquet`: gap, effective_rank, stable_rank,"
        " nc1, nc2_norms, nc2_angles, nc3, nc4, hierarchical_precision,"
        " hierarchical_recall, hierarchical_f1, path_accuracy, level_accuracy",
    ),
    Column(
        "of",
        TEXT,
        "the matrices, e.g. ncsm,scsm for a SAI, ncsm for a WSI; weight or templates"
        " for class geometry",
    ),
    Column(
        "reference",
        TEXT,
        "the reference matrix, e.g. wordnet3.0-path, taxonomy or superclasses",
    ),
    Column("split", TEXT, "train or test; null without a split"),
    Column(
        "variant",
        TEXT,
        "the measure of a SAI; all, errors or macro of an IDM; mean, max or min of a"
        " WSI (max@0.9 for another quantile); raw or centred; deviation or spread of"
        " nc2_angles; micro or macro; the level of a level_accuracy",
    ),
    Column("value", FLOAT, "the metric"),
    Column("null_mean", FLOAT, "chance level"),
    Column("null_std", FLOAT, "standard deviation of the chance level"),
    Column(
        "z",
        FLOAT,
        "standard deviations above the chance level; positive if more similar",
    ),
    Column("excess", FLOAT, "0 is chance, 1 is the same"),
    Column("ceiling", FLOAT, "the best value that could be reached"),
    Column("p_value", FLOAT, "share of relabellings that are at least as similar"),
    *_pair(
        "low",
        "high",
        FLOAT,
        "ends of the 95 % confidence interval (of the excess for a SAI)",
    ),
    Column("classes_used", INTEGER, "number of classes used"),
    Column("samples_used", INTEGER, "number of samples used"),
    Column("reason", TEXT, "why something is null"),
)
GEOMETRY = Table("geometry.parquet", "one class vector").with_columns(
    *_SAVE,
    _CLASS,
    Column("norm", FLOAT, "length of the class vector"),
    Column("centred_norm", FLOAT, "length of the centred class vector"),
    Column("bias", FLOAT, "the bias of the class; null if the head has none"),
    Column(
        "angle_previous",
        FLOAT,
        "angle in degrees to the class vector at the previous checkpoint; 90 is chance."
        " `results.angle_last()` has the angle to that at the last checkpoint",
    ),
    Column("self_duality_train", FLOAT, _SELF_DUALITY),
    Column("nearest_centre_train", FLOAT, _NEAREST_CENTRE),
    Column("self_duality_test", FLOAT, _SELF_DUALITY),
    Column("nearest_centre_test", FLOAT, _NEAREST_CENTRE),
)
SPECTRUM = Table(
    "spectrum.parquet", "one singular value of a centred head"
).with_columns(
    *_SAVE,
    Column("index", INTEGER, "from 1 for the largest; never null"),
    Column("singular_value", FLOAT, "the singular value"),
    Column("share", FLOAT, "its square over the sum of all squares"),
    Column("cumulative_share", FLOAT, "sum of the shares up to this one"),
    Column("null_mean", FLOAT, "chance level of the share"),
    Column("null_std", FLOAT, "standard deviation of the chance level"),
    Column("classes_used", INTEGER, "number of classes used"),
)
PHASES = Table(
    "phases.parquet", "one phase of a curve, or one curve without phases"
).with_columns(
    _RUN,
    Column(
        "curve",
        TEXT,
        "agreement ncsm,scsm (excess of cosine without Pearson; tncsm-test without a"
        " head), wsi max, widm test; never null",
    ),
    Column(
        "phase",
        TEXT,
        "surge, refinement, stabilisation; decline instead of refinement for a run with"
        " repetitions whose corrected agreement does not decline; or t50, t90, t95;"
        " null if none is found",
    ),
    Column("first_epoch", FLOAT, "first epoch, interpolated"),
    Column(
        "last_epoch",
        FLOAT,
        "last epoch, interpolated; for t50, t90 and t95 the epoch that reaches this"
        " share",
    ),
    Column(
        "is_censored",
        FLAG,
        "true if this is before the second checkpoint, so that last_epoch is an upper"
        " limit",
    ),
    *_pair("low", "high", FLOAT, "ends of the 95 % confidence interval of last_epoch"),
    Column(
        "gain",
        FLOAT,
        "gain up to the plateau; for refinement and stabilisation the change over the"
        " plateau",
    ),
    *_pair("gain_low", "gain_high", FLOAT, "ends of its 95 % confidence interval"),
    Column(
        "reason",
        TEXT,
        "why there is no phase, or for a stabilisation or a decline no refinement",
    ),
)
ROBUSTNESS = Table(
    "robustness.parquet",
    "the agreement of a run at its last epoch by one choice of measure, pairs of"
    " classes and correlation. The first row of a run is the main choice",
).with_columns(
    _RUN,
    Column("epoch", INTEGER, "epoch of the matrix"),
    Column("measure", TEXT, "similarity of synsets: path, lch, wup or lin"),
    Column(
        "pairs",
        TEXT,
        "all, within groups or between groups: the nodes at the first level below the"
        " root at which none holds more than two thirds of the classes",
    ),
    Column("correlation", TEXT, "pearson or spearman"),
    Column("agreement", FLOAT, "correlation with the reference: 0 is chance"),
    *_pair("low", "high", FLOAT, "ends of its 95 % confidence interval"),
    Column("null_mean", FLOAT, "chance level: mean over relabelled classes"),
    Column("null_std", FLOAT, "standard deviation of the chance level"),
    Column("z", FLOAT, "standard deviations above chance"),
    Column(
        "differs",
        FLAG,
        "true if the sign, or whether the interval excludes 0, is another than in the"
        " main choice",
    ),
    Column("classes_used", INTEGER, "number of classes used"),
)
FACTS = Table(
    "facts.parquet", "one thing that dsi noticed, such as a warning"
).with_columns(
    _RUN,
    Column("code", TEXT, "stable name of its kind, such as zero-weights; never null"),
    Column("epochs", INTEGERS, "its epochs; empty if it is about the whole run"),
    Column(
        "fields",
        TEXT,
        "the values that describe it, as a JSON object; `distrusted` lists the inputs"
        " that others contradict",
    ),
    Column(
        "severity",
        TEXT,
        "error if something could not be used, warning if a value may be wrong or is"
        " missing, note otherwise; never null",
    ),
)
SUSPECTS = Table(
    "suspects.parquet",
    "one suspect: a class, a pair or a group, the strongest first, ordinary ones last",
).with_columns(
    Column("kind", TEXT, f"{', '.join(KIND_NAMES)}; never null"),
    Column("rank", INTEGER, "1 for the strongest suspect of its kind; never null"),
    Column("grade", TEXT, f"{', '.join(GRADES)}; never null"),
    Column(
        "source",
        TEXT,
        f"what shows it: {', '.join(SOURCES)} (the head alone, or also the predictions"
        " of a split); never null",
    ),
    Column("run", TEXT, "the run with the strongest evidence; never null"),
    _CLASS,
    _NAME,
    Column("other_index", INTEGER, "class_index of the other class of a pair"),
    Column("other_name", TEXT, "its label"),
    Column(
        "members",
        INTEGERS,
        "class_index of all classes concerned; of two exchanged names, each class fits"
        " the other name; of images, the label and the class that they may show",
    ),
    Column(
        "effect",
        FLOAT,
        "the size of what it shows, which method.md defines for each kind and source",
    ),
    Column("effect_low", FLOAT, "lower limit of the 95 % CI; null without a sample"),
    Column("effect_high", FLOAT, "upper limit of the 95 % CI"),
    Column("score", FLOAT, "the statistic that ranks it, which method.md defines"),
    Column("null_mean", FLOAT, "median of the scores of all candidates of its kind"),
    Column("null_std", FLOAT, "their robust standard deviation"),
    Column(
        "q_value",
        FLOAT,
        "false discovery rate if the upper tail of these scores is exponential; it"
        " decides nothing",
    ),
    Column("epochs", INTEGER, "epochs of the run that show the suspect, each alone"),
    Column(
        "of_epochs", INTEGER, "trained epochs of the run that were tested, at most 20"
    ),
    Column(
        "since_epoch",
        INTEGER,
        "first epoch from which all tested ones show it; null if the last does not",
    ),
    Column(
        "epoch_ranks",
        INTEGERS,
        "its rank among all candidates of its kind in each tested epoch, 0 if it is no"
        " candidate",
    ),
    Column("tested_epochs", INTEGERS, "the epochs of epoch_ranks"),
    Column("seeds", INTEGER, "runs with these classes that show the suspect"),
    Column("evidence", TEXT, "a sentence that names all classes concerned"),
    Column("next_step", TEXT, "what to do, for example a command"),
)
CSMS = Table("csms", "the row of one class in one matrix").with_columns(
    _RUN,
    Column(
        "kind",
        TEXT,
        "ncsm, ncsm_centred, ccsm (1 on its diagonal by definition), tncsm or"
        " tncsm_equal; never null",
    ),
    Column("split", TEXT, "train or test; null without a split"),
    *_TIME,
    _CLASS,
    _SIMILARITY,
)
NEIGHBORS = Table(
    "neighbors", "one class and one of its nearest classes, above 4,096 classes"
).with_columns(
    _RUN,
    Column("kind", TEXT, "ncsm or ncsm_centred; never null"),
    *_TIME,
    _CLASS,
    Column("neighbor", INTEGER, "class_index of the near class; never null"),
    Column(
        "rank",
        FLOAT,
        "its rank among the other classes, from 1 for the nearest; ties share the"
        " mid-rank",
    ),
    Column("similarity", FLOAT, "similarity of the two classes"),
)
HEADS = Table("heads", "the row of one class in the classifier head").with_columns(
    *_SAVE,
    _CLASS,
    Column("weight", FLOATS, "the row in the checkpoint, as float32"),
    Column("bias", FLOAT, "the bias of the class; null if the head has none"),
)
_REFERENCE = Column("reference", TEXT, "e.g. wordnet3.0-path; never null")
_NAMED_CLASS = (
    _REFERENCE,
    Column("labels_id", TEXT, "the label list; never null"),
    _CLASS,
    _NAME,
)
REFERENCES = Table(
    "references",
    "the row of one class in a reference matrix",
    (*_NAMED_CLASS, _SIMILARITY),
)
REFERENCE_NEIGHBORS = Table(
    "reference_neighbors",
    "one class and one of its nearest classes in a reference (`dsi wordnet`)",
).with_columns(
    *_NAMED_CLASS,
    Column("neighbor", INTEGER, "class_index of the near class; never null"),
    Column("neighbor_name", TEXT, "its label"),
    Column(
        "rank",
        FLOAT,
        "its rank among the other classes, from 1 for the nearest; ties share the"
        " mid-rank",
    ),
    Column("ties", INTEGER, "classes with exactly this similarity"),
    Column("similarity", FLOAT, "similarity of the two classes"),
)
CONFUSIONS = Table("confusions", "the row of counts of one class").with_columns(
    *_SAVE_OF_SPLIT,
    Column(
        "class_index", INTEGER, "the true class: row of the head, from 0; never null"
    ),
    Column("count", INTEGERS, "samples predicted as each class"),
)
PREDICTIONS = Table("predictions", "one sample").with_columns(
    *_SAVE_OF_SPLIT,
    Column("sample", INTEGER, "its number in the data, from 0; never null"),
    Column("path", TEXT, "path of its image"),
    Column("target", INTEGER, "the true class, a class_index; never null"),
    Column("prediction", INTEGER, "a class_index; never null"),
    Column("score", FLOAT, "confidence of the prediction"),
)
TYPICALITY = Table(
    "typicality.parquet", "the correct or the wrong samples of one class"
).with_columns(
    *_SAVE_OF_SPLIT,
    _CLASS,
    Column(
        "correct", FLAG, "whether these samples are predicted correctly; never null"
    ),
    Column("samples", INTEGER, "number of these samples"),
    Column(
        "group_cosine", FLOAT, "cosine of their mean feature with the class's template"
    ),
    Column("null_mean", FLOAT, "its mean for random subsets of the same size"),
    Column(
        "sample_cosine",
        FLOAT,
        "mean cosine of a sample with the template of the class's other samples",
    ),
)
TYPICALITY_HISTOGRAM = Table(
    "typicality_histogram.parquet", "one bin of the histogram of sample cosines"
).with_columns(
    *_SAVE_OF_SPLIT,
    Column(
        "correct", FLAG, "whether these samples are predicted correctly; never null"
    ),
    *_pair("low", "high", FLOAT, "ends of the bin; the lower one is included"),
    Column("samples", INTEGER, "samples in the bin"),
)
EXTRA_CURVES = Table(
    "extra_curves.parquet",
    "one point of a curve beyond those of the paper",
    CURVES.columns,
)
ALIGNMENT_BY_CLASS = Table(
    "alignment_by_class.parquet", "one class, or one group of classes"
).with_columns(
    *_SAVE,
    Column("of", TEXT, "ncsm; tncsm-test or tncsm-train without a head"),
    _REFERENCE,
    Column("class_index", INTEGER, "row of the head, from 0; null for a group"),
    Column("group", TEXT, "semantic group; null if the class has none"),
    Column("pearson", FLOAT, "agreement with the reference"),
    Column(
        "z",
        FLOAT,
        "standard deviations above the chance level; positive if more similar",
    ),
    Column("pearson_without", FLOAT, "agreement without this class"),
    Column("classes_used", INTEGER, "number of classes used"),
    Column("reason", TEXT, "why something is null"),
)
DIFF_CLASSES = Table(
    "diff_classes.parquet", "one class of two networks (`dsi diff --out`)"
).with_columns(
    _CLASS,
    Column("name", TEXT, "the label, or else the class_index"),
    Column("group", TEXT, "semantic group; null if the class has none"),
    Column(
        "change",
        FLOAT,
        "length of the difference of the vectors over that of the first",
    ),
    Column("angle", FLOAT, "angle between the class vectors in degrees"),
    Column("angle_rounding", FLOAT, "the largest angle that the dtypes explain"),
    Column("angle_variation", FLOAT, "its median between neighbouring epochs"),
    *_pair(
        "norm_first", "norm_second", FLOAT, "length of the class vector in each network"
    ),
    Column("norm_change", FLOAT, "its relative change: 0.1 is 10 % longer"),
    Column("zeroed", INTEGER, "weights that are 0 in the second network only"),
    Column("similarity_change", FLOAT, "mean absolute change of its similarities"),
    Column("similarity_variation", FLOAT, "its median between neighbouring epochs"),
    *_pair("gained", "lost", TEXTS, "classes that joined or left its five nearest"),
    Column(
        "beyond_rounding",
        FLAG,
        "whether a weight (else a similarity) changed by more than rounding",
    ),
    Column(
        "beyond_variation",
        FLAG,
        "whether angle (else similarity_change) is above the 95 % quantile of the"
        " variation",
    ),
)
DIFF_PAIRS = Table(
    "diff_pairs.parquet",
    "one pair of classes, the most changed first, at most a million (`dsi diff --out`)",
).with_columns(
    *_pair(
        "first_index", "second_index", INTEGER, "class_index of the class; never null"
    ),
    *_pair("first_name", "second_name", TEXT, "its label"),
    *_pair(
        "similarity_first",
        "similarity_second",
        FLOAT,
        "similarity (NCSM) in each network",
    ),
    Column("similarity_change", FLOAT, "second minus first"),
    Column("rounding", FLOAT, "the largest change that dtypes and float32 explain"),
    Column("variation", FLOAT, "its root mean square between neighbouring epochs"),
    Column("beyond_rounding", FLAG, "whether the change is larger than rounding"),
)
DIFF_GROUPS = Table(
    "diff_groups.parquet",
    "one group of two classes or more, the most changed first (`dsi diff --out`)",
).with_columns(
    Column("group", TEXT, "semantic group, as in the classes table; never null"),
    Column("classes", INTEGER, "number of its classes"),
    Column("moved", INTEGER, "classes that changed by more than rounding"),
    Column("angle", FLOAT, "mean angle of its class vectors in degrees"),
    Column("angle_variation", FLOAT, "mean of their angle_variation"),
    Column("norm_change", FLOAT, "mean relative change of their lengths"),
    Column("within_change", FLOAT, "mean change of similarities in the group"),
    Column(
        "within_variation", FLOAT, "its root mean square between neighbouring epochs"
    ),
    Column("between_change", FLOAT, "mean change of similarities to other classes"),
)
# the tables of ``dsi diff``, which are not in a results folder
DIFF_TABLES = (DIFF_CLASSES, DIFF_PAIRS, DIFF_GROUPS)
TABLES = (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    EXTRA_CURVES,
    ALIGNMENT_BY_CLASS,
    GEOMETRY,
    SPECTRUM,
    PHASES,
    ROBUSTNESS,
    FACTS,
    SUSPECTS,
    CSMS,
    NEIGHBORS,
    HEADS,
    REFERENCES,
    REFERENCE_NEIGHBORS,
    CONFUSIONS,
    PREDICTIONS,
    TYPICALITY,
    TYPICALITY_HISTOGRAM,
)


class MatrixId(NamedTuple):
    """The kind of a matrix, and the split of the predictions that it was made from.

    >>> MatrixId.parse("ccsm-test"), MatrixId.parse("ncsm"), str(MatrixId("tncsm", "train"))
    (MatrixId(kind='ccsm', split='test'), MatrixId(kind='ncsm', split=None), 'tncsm-train')
    """

    kind: str
    split: str | None = None

    @classmethod
    def parse(cls, name: str) -> MatrixId:
        """Return the id of a name such as ``ccsm-test`` or ``ncsm``."""
        kind, _, split = name.partition("-")
        return cls(kind, split or None)

    def __str__(self) -> str:
        return self.kind if self.split is None else f"{self.kind}-{self.split}"
