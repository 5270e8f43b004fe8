"""The tables of a results folder with their columns, types and meanings; the writer, the docs and the tests use them."""

from __future__ import annotations

from typing import NamedTuple

SCHEMA_VERSION = 1
TEXT, INTEGER, FLOAT, FLAG = "string", "int64", "double", "bool"
TEXTS, FLOATS, INTEGERS = "list<string>", "list<float>", "list<int64>"


UNCERTAIN = 0.85
"""The confidence below which a person should check a synset.

This applies to an eighth of the labels of ImageNet-1k, which include six of seven wrong synsets.
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
    columns: tuple[Column, ...]


def _table(path: str, row: str, *columns: Column) -> Table:
    return Table(path, row, columns)


_RUN = Column("run", TEXT, "name of the run: the shortest unique path suffix of its folder; never null")
_EPOCH = Column("epoch", INTEGER, "the trainer's number of the epoch; null if a run's only checkpoint has none")
_COMPLETED = Column("epochs_completed", INTEGER, "finished epochs; null without evidence for how the trainer counts")
_STEP = Column("step", INTEGER, "optimiser steps, which distinguish saves within one epoch")
_TIME = (_EPOCH, _COMPLETED, _STEP)
_SAVE = (_RUN, *_TIME)
"""The columns of a checkpoint."""
_SAVE_OF_SPLIT = (_RUN, Column("split", TEXT, "train or test; never null"), *_TIME)
_CLASS = Column("class_index", INTEGER, "row of the head, from 0; never null")
_SIMILARITY = Column("similarity", FLOATS, "raw similarity to each class in order of class_index; null for a missing class")

CHECKPOINTS = _table(
    "checkpoints.parquet",
    "one checkpoint file",
    _RUN,
    Column("path", TEXT, "absolute path of the file or folder"),
    _EPOCH,
    _COMPLETED,
    Column("epoch_source", TEXT, "contents, file name, folder name, commit title, revision name or order"),
    Column("step", INTEGER, "optimiser steps"),
    Column("format", TEXT, "container"),
    Column("trainer", TEXT, "the library that wrote the file"),
    Column("bytes", INTEGER, "size on disk, shards together"),
    Column("head", TEXT, "name of the classifier's weight"),
    Column("weights_used", TEXT, "raw or ema"),
    Column("classes", INTEGER, "compared classes"),
    Column("features", INTEGER, "width of the head"),
    Column("extra_classes", INTEGER, "rows for no object or background"),
    Column("dtype", TEXT, "type of the stored weight"),
    Column("fingerprint", TEXT, "SHA-256 of the head as (rows, features) little-endian float32"),
    Column("status", TEXT, "ok, failed, skipped (a duplicate) or pending (still being written)"),
    Column("reason", TEXT, "why the status is not ok, or a warning"),
    Column("code", TEXT, "stable name of the reason, such as cut-off or duplicate; null if the status is ok"),
    Column("modified_ns", INTEGER, "time of the last change in nanoseconds since 1970"),
)
CLASSES = _table(
    "classes.parquet",
    "one class",
    _RUN,
    Column("labels_id", TEXT, "the label list; null without labels"),
    _CLASS,
    Column("name", TEXT, "the label"),
    Column("synset", TEXT, "WordNet synset, dog.n.01 or run.v.01; from WordNet 3.0 unless --wordnet selects another"),
    Column("wnid", TEXT, "its WordNet id, n02084071 or v01926311"),
    Column("definition", TEXT, "WordNet's gloss"),
    Column(
        "resolved_by",
        TEXT,
        "wnid, synset, preset, map, synonyms, only sense, chosen sense, spelling, head noun, head verb, unresolved, or"
        " placeholder",
    ),
    Column(
        "confidence",
        FLOAT,
        f"confidence that the synset is right, 0 to 1; check it below {UNCERTAIN}; null if unresolved",
    ),
    Column("candidates", TEXTS, "all possible synsets of the label, the most likely first"),
    Column("candidate_scores", FLOATS, "their probabilities; empty if an id decides"),
    Column("reason", TEXT, "why this synset was chosen, or why none was; null if an id decides"),
    Column("display_order", INTEGER, "position of the class in figures and lists, from 0"),
    Column("group", TEXT, "semantic group: a hypernym, e.g. carnivore.n.01, or the list's superclass"),
    Column("samples_train", INTEGER, "samples of the class in the train split"),
    Column("samples_test", INTEGER, "samples of the class in the test split"),
)
CURVES = _table(
    "curves.parquet",
    "one point of a curve",
    _RUN,
    _EPOCH,
    _COMPLETED,
    Column("step", INTEGER, "optimiser steps"),
    Column(
        "metric",
        TEXT,
        "sai, idm, wsi, mean_row, reliability, accuracy, accuracy_top5, balanced_accuracy, superclass_accuracy, mistakes,"
        " severity, loss, learning_rate. In `extra_curves.parquet`: gap (of the SAI with the TNCSM: train minus test, from the"
        " same number of images per class), effective_rank, stable_rank, nc1, nc2_norms, nc2_angles, nc3, nc4,"
        " hierarchical_precision, hierarchical_recall, hierarchical_f1, path_accuracy, level_accuracy",
    ),
    Column(
        "of",
        TEXT,
        "the matrices: ncsm,scsm or ncsm,ccsm-test for a SAI, ncsm for a WSI or an IDM; weight for ranks and NC2 of the head,"
        " templates for NC1 to NC4 of features",
    ),
    Column(
        "reference",
        TEXT,
        "the reference matrix if scsm is one of the matrices, e.g. wordnet3.0-path; A|B: A given B; for severity and"
        " superclass_accuracy the taxonomy, or cifar100-superclasses, list-superclasses; for hierarchical scores the taxonomy",
    ),
    Column("split", TEXT, "train or test; null if the metric has no split"),
    Column(
        "variant",
        TEXT,
        "the measure of a SAI (partial_pearson: given another reference); above 4,096 classes only cosine, mse and pearson have"
        " a value; all, errors or macro of an IDM;"
        " mean, max or min of a WSI (max@0.9 for another quantile); raw or centred class vectors of ranks and nc2_norms;"
        " deviation or spread of nc2_angles; micro or macro of a hierarchical score; the level of a level_accuracy, from 1"
        " below the root",
    ),
    Column("value", FLOAT, "the metric"),
    Column(
        "null_mean",
        FLOAT,
        "chance level: the mean over random relabellings of the classes; of weight: over random heads of the same shape;"
        " of hierarchical scores: over shuffled predictions",
    ),
    Column("null_std", FLOAT, "its standard deviation"),
    Column("z", FLOAT, "standard deviations above the chance level; positive if more similar"),
    Column("excess", FLOAT, "0 is the chance level, 1 is identity"),
    Column(
        "ceiling",
        FLOAT,
        "the best value that these two sets of values could reach; null for a SAI of more than 4,096 classes; the largest"
        " possible rank",
    ),
    Column(
        "p_value",
        FLOAT,
        "of a SAI or an IDM: share of relabellings that are at least as similar; 0.05 means one in twenty",
    ),
    Column(
        "low",
        FLOAT,
        "lower end of the 95 % confidence interval: of a SAI's excess over classes (none above 4,096), of an IDM over samples",
    ),
    Column("high", FLOAT, "upper end"),
    Column("classes_used", INTEGER, "number of classes used"),
    Column("samples_used", INTEGER, "number of samples used"),
    Column("reason", TEXT, "why something is null"),
)
GEOMETRY = _table(
    "geometry.parquet",
    "the vector of one class in the classifier head of one checkpoint",
    *_SAVE,
    _CLASS,
    Column("norm", FLOAT, "length of the class vector"),
    Column("centred_norm", FLOAT, "length of the class vector minus the mean vector of all classes"),
    Column("bias", FLOAT, "the bias of the class; null if the head has none, or if it is unknown"),
    Column(
        "angle_previous",
        FLOAT,
        "angle in degrees to the class vector at the previous analysed checkpoint of the run; independent directions have"
        " 90 with a standard deviation of 57.3 / sqrt(features); null at the first checkpoint, for a zero vector, and if the"
        " previous head lacks the class or has another width",
    ),
    Column("angle_last", FLOAT, "angle to the class vector at the last analysed checkpoint"),
    *(
        column
        for split in ("train", "test")
        for column in (
            Column(
                f"self_duality_{split}",
                FLOAT,
                f"cosine of the centred class vector and the centred mean feature of the class on {split} (NC3): 0 is chance, 1"
                " is collapse; null without --templates",
            ),
            Column(
                f"nearest_centre_{split}",
                FLOAT,
                f"share of the class's samples on {split} whose prediction is the class with the nearest mean feature (NC4)",
            ),
        )
    ),
)
SPECTRUM = _table(
    "spectrum.parquet",
    "one singular value of the classifier head of one checkpoint, after subtracting the mean vector of all classes",
    *_SAVE,
    Column("index", INTEGER, "number of the singular value, from 1 for the largest; never null"),
    Column(
        "singular_value",
        FLOAT,
        "singular value of the centred class vectors, as in the ranks of the variant centred; 0 if it is below rounding",
    ),
    Column("share", FLOAT, "its square over the sum of all squares"),
    Column("cumulative_share", FLOAT, "sum of the shares up to this one; 1 for the last"),
    Column("null_mean", FLOAT, "chance level of the share: the mean over 3 to 20 random heads of the same shape"),
    Column("null_std", FLOAT, "its standard deviation"),
    Column("classes_used", INTEGER, "number of classes used"),
)
PHASES = _table(
    "phases.parquet",
    "one phase of a run on one of its curves, or one curve without phases",
    _RUN,
    Column(
        "curve",
        TEXT,
        "agreement ncsm,scsm (excess of cosine ncsm,scsm if Pearson was not selected; tncsm-test without a classifier),"
        " wsi max, widm test; never null",
    ),
    Column("phase", TEXT, "surge, refinement, stabilisation; or t50, t90, t95; null if none is found"),
    Column("first_epoch", FLOAT, "first epoch, interpolated between checkpoints"),
    Column("last_epoch", FLOAT, "last epoch; for t50, t90 and t95 the epoch at which the curve reaches this share"),
    Column("low", FLOAT, "lower end of the 95 % confidence interval of last_epoch"),
    Column("high", FLOAT, "upper end"),
    Column("gain", FLOAT, "gain of the curve up to the plateau; for a refinement since the plateau"),
    Column("gain_low", FLOAT, "lower end of the 95 % confidence interval of gain"),
    Column("gain_high", FLOAT, "upper end"),
    Column("reason", TEXT, "why there is no phase"),
)
CSMS = _table(
    "csms",
    "the row of one class in one matrix",
    _RUN,
    Column("kind", TEXT, "ncsm, ncsm_centred, ccsm, tncsm or tncsm_equal; never null"),
    Column("split", TEXT, "train or test; null if the matrix has no split"),
    *_TIME,
    _CLASS,
    _SIMILARITY,
)
NEIGHBORS = _table(
    "neighbors",
    "one class and one of its nearest classes (replaces the matrix above 4,096 classes)",
    _RUN,
    Column("kind", TEXT, "ncsm or ncsm_centred; never null"),
    *_TIME,
    _CLASS,
    Column("neighbor", INTEGER, "class_index of the near class; never null"),
    Column("rank", FLOAT, "its rank among all other classes, from 1 for the nearest; ties share the mid-rank"),
    Column("similarity", FLOAT, "raw similarity of the two classes"),
)
HEADS = _table(
    "heads",
    "the row of one class in the classifier head",
    *_SAVE,
    _CLASS,
    Column("weight", FLOATS, "the row in the checkpoint, flattened, as float32"),
    Column("bias", FLOAT, "the bias of the class; null if the head has none, or if it is unknown"),
)
REFERENCES = _table(
    "references",
    "the row of one class in a reference matrix",
    Column("reference", TEXT, "e.g. wordnet3.0-path; never null"),
    Column("labels_id", TEXT, "the label list; never null"),
    _CLASS,
    Column("name", TEXT, "the label"),
    _SIMILARITY,
)
REFERENCE_NEIGHBORS = _table(
    "reference_neighbors",
    "one class and one of its nearest classes in a reference, the nearest first (`dsi wordnet`, replaces a large matrix)",
    Column("reference", TEXT, "e.g. wordnet3.0-path; never null"),
    Column("labels_id", TEXT, "the label list; never null"),
    _CLASS,
    Column("name", TEXT, "the label"),
    Column("neighbor", INTEGER, "class_index of the near class; never null"),
    Column("neighbor_name", TEXT, "its label"),
    Column(
        "rank",
        FLOAT,
        "its rank among the classes with a synset, from 1; equally similar classes share the mid-rank",
    ),
    Column("ties", INTEGER, "number of classes with exactly this similarity, including this one"),
    Column("similarity", FLOAT, "similarity of the two classes"),
)
CONFUSIONS = _table(
    "confusions",
    "the row of counts of one class",
    *_SAVE_OF_SPLIT,
    Column("class_index", INTEGER, "the true class: row of the head, from 0; never null"),
    Column("count", INTEGERS, "samples of the class predicted as each class, in order of class_index"),
)
PREDICTIONS = _table(
    "predictions",
    "one sample",
    *_SAVE_OF_SPLIT,
    Column("sample", INTEGER, "its number in the data, from 0; never null"),
    Column("path", TEXT, "path of its image"),
    Column("target", INTEGER, "the true class, a class_index; never null"),
    Column("prediction", INTEGER, "a class_index; never null"),
    Column("score", FLOAT, "confidence of the prediction: its softmax if dsi ran the model"),
)
TYPICALITY = _table(
    "typicality.parquet",
    "the correct or the wrong samples of one class",
    *_SAVE_OF_SPLIT,
    _CLASS,
    Column("correct", FLAG, "whether these samples are predicted correctly; never null"),
    Column("samples", INTEGER, "number of these samples"),
    Column("group_cosine", FLOAT, "cosine of their mean feature with the class's template; null without a sample"),
    Column("null_mean", FLOAT, "mean for random subsets of the class's samples of the same size"),
    Column(
        "sample_cosine",
        FLOAT,
        "mean cosine of a sample with the template of the class's other samples; null without others",
    ),
)
TYPICALITY_HISTOGRAM = _table(
    "typicality_histogram.parquet",
    "one bin of the histogram of sample cosines of the correct or the wrong samples",
    *_SAVE_OF_SPLIT,
    Column("correct", FLAG, "whether these samples are predicted correctly; never null"),
    Column("low", FLOAT, "lower end of the bin, included"),
    Column("high", FLOAT, "upper end"),
    Column("samples", INTEGER, "samples in the bin"),
)
EXTRA_CURVES = Table(
    "extra_curves.parquet",
    "one point of a curve that the paper does not have: class geometry, scores by a hierarchy, the overfitting gap",
    CURVES.columns,
)
ALIGNMENT_BY_CLASS = _table(
    "alignment_by_class.parquet",
    "one class at one epoch, or one group of classes, for which class_index is null",
    *_SAVE,
    Column("of", TEXT, "the similarity matrix of the network: ncsm; tncsm-test or tncsm-train without a classifier"),
    Column("reference", TEXT, "the reference matrix, e.g. wordnet3.0-path; never null"),
    Column("class_index", INTEGER, "row of the head, from 0; null in the row of a group"),
    Column("group", TEXT, "semantic group; null if the class has none"),
    Column(
        "pearson",
        FLOAT,
        "of a class: correlation of its row with its row in the reference; of a group: SAI among its classes",
    ),
    Column("z", FLOAT, "standard deviations above the chance level; positive if more similar"),
    Column("pearson_without", FLOAT, "agreement of the two matrices without this class; null for a group"),
    Column("classes_used", INTEGER, "number of classes used"),
    Column("reason", TEXT, "why something is null"),
)
DIFF_CLASSES = _table(
    "diff_classes.parquet",
    "one class of two networks (`dsi diff --out`)",
    _CLASS,
    Column("name", TEXT, "the label, or else the class_index"),
    Column("group", TEXT, "semantic group; null if the class has none"),
    Column("change", FLOAT, "length of the difference of the class vectors over the length of the first"),
    Column(
        "angle",
        FLOAT,
        "angle between the class vectors in degrees; null if the angles mean nothing, or for a zero vector",
    ),
    Column("angle_rounding", FLOAT, "the largest angle that the dtypes of both heads explain"),
    Column("angle_variation", FLOAT, "median angle between neighbouring epochs; null if it is unknown"),
    Column("norm_first", FLOAT, "length of the class vector in the first network"),
    Column("norm_second", FLOAT, "length in the second network"),
    Column("norm_change", FLOAT, "its relative change: 0.1 is 10 % longer in the second network"),
    Column("zeroed", INTEGER, "number of weights that are 0 in the second network only"),
    Column("similarity_change", FLOAT, "mean absolute change of its similarities to all other classes"),
    Column("similarity_variation", FLOAT, "the same between neighbouring epochs or repetitions (median)"),
    Column("gained", TEXTS, "classes that are among its five nearest in the second network only"),
    Column("lost", TEXTS, "classes that are among its five nearest in the first network only"),
    Column(
        "beyond_rounding", FLAG, "whether a weight (a similarity, if angles mean nothing) changed by more than rounding"
    ),
    Column(
        "beyond_variation",
        FLAG,
        "whether the angle (the similarity_change, if angles mean nothing) is above the 95 % quantile of the variation",
    ),
)
DIFF_PAIRS = _table(
    "diff_pairs.parquet",
    "one pair of classes, the most changed first, at most a million (`dsi diff --out`)",
    Column("first_index", INTEGER, "class_index of one class; never null"),
    Column("second_index", INTEGER, "class_index of the other class; never null"),
    Column("first_name", TEXT, "label of one class"),
    Column("second_name", TEXT, "label of the other class"),
    Column("similarity_first", FLOAT, "their similarity (NCSM) in the first network"),
    Column("similarity_second", FLOAT, "their similarity in the second network"),
    Column("similarity_change", FLOAT, "second minus first; positive if the classes came together"),
    Column("rounding", FLOAT, "the largest change that the dtypes explain"),
    Column("variation", FLOAT, "root mean square of the change between neighbouring epochs or repetitions"),
    Column("beyond_rounding", FLAG, "whether the change is larger than rounding"),
)
DIFF_GROUPS = _table(
    "diff_groups.parquet",
    "one group of two classes or more, the most changed first (`dsi diff --out`)",
    Column("group", TEXT, "semantic group, as in the classes table; never null"),
    Column("classes", INTEGER, "number of its classes"),
    Column("moved", INTEGER, "number of its classes that changed by more than rounding"),
    Column("angle", FLOAT, "mean angle of its class vectors in degrees"),
    Column("angle_variation", FLOAT, "mean of their angle_variation"),
    Column("norm_change", FLOAT, "mean relative change of their lengths"),
    Column("within_change", FLOAT, "mean change of the similarities within the group"),
    Column("within_variation", FLOAT, "root mean square of this between neighbouring epochs or repetitions"),
    Column("between_change", FLOAT, "mean change of the similarities to all other classes"),
)
DIFF_TABLES = (DIFF_CLASSES, DIFF_PAIRS, DIFF_GROUPS)
"""The tables of ``dsi diff``, which are not in a results folder."""
TABLES = (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    EXTRA_CURVES,
    ALIGNMENT_BY_CLASS,
    GEOMETRY,
    SPECTRUM,
    PHASES,
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
