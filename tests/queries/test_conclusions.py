"""Sentences on what a conclusion depends on."""

from dsi_cli.queries.conclusions import (
    changed_choices,
    last_parts,
    partition_sentence,
    population,
    robustness_sentence,
)


def row(measure, pairs, *, differs):
    return {"measure": measure, "pairs": pairs, "differs": differs, "z": 3.0}


def table(*changed):
    choices = [(m, p) for m in ("path", "wup") for p in ("all", "between groups")]
    return [row(*choice, differs=choice in changed) for choice in choices]


def test_changed_choices_of_all_measures_name_none():
    rows = table(("path", "between groups"), ("wup", "between groups"), ("wup", "all"))
    assert (
        changed_choices(rows) == "between groups by any measure, over all pairs by wup"
    )
    assert not changed_choices(table())


def test_robustness_sentence_counts_runs_and_names_common_choices():
    first = table(("wup", "all"), ("wup", "between groups"))
    second = table(("wup", "all"))
    text = robustness_sentence([first, second, table(), []])
    assert "in 2 of 3 runs" in text
    assert text.endswith("it differs over all pairs by wup")
    assert robustness_sentence([table(), []]) is None


def test_robustness_sentence_of_a_run_within_chance_is_none():
    rows = [one | {"z": 2.9} for one in table(("wup", "all"))]
    assert robustness_sentence([rows]) is None
    text = robustness_sentence([rows, table(("wup", "all"))])
    assert "in 1 of 2 runs" in text


def test_robustness_sentence_without_common_choices_names_none():
    text = robustness_sentence([table(("wup", "all")), table(("path", "all"))])
    assert text.endswith("in 2 of 2 runs")


def part(variant, value, p_value=None, epoch=3):
    columns = {"metric": "variance_partition", "epoch": epoch}
    return columns | {"variant": variant, "value": value, "p_value": p_value}


def test_partition_sentence_has_the_shares_and_what_is_within_chance():
    rows = [
        part("only a", 0.2, 0.001),
        part("only b", 0.01, 0.4),
        part("a and b", 0.1),
        part("total", 0.31),
    ]
    text = partition_sentence(rows)
    assert "explain 31.0 %" in text
    assert "20.0 % only a, 1.0 % only b (within chance), and 10.0 % shared" in text
    assert partition_sentence([]) is None


def test_last_parts_are_those_of_the_last_epoch():
    rows = [part("total", 0.1, epoch=1), part("total", 0.2, epoch=2)]
    others = [{"metric": "gap", "value": 1.0, "epoch": 9}]
    assert last_parts(rows + others) == rows[1:]


def test_population_of_a_file_names_the_superclasses_of_its_column():
    assert population("mine.csv") == "other superclasses like these"
