"""A run at a glance."""

from helpers.outputs import heads, save_head

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.epoch_summary import epoch_summaries, mistake_summaries
from dsi_cli.store.results import Results


def test_lines_are_the_curves(analysed):
    curves = analysed.run.curves.query("run == 'cifar100-cnn'")
    found = epoch_summaries(analysed.out, "cifar100-cnn")
    assert [line.epoch for line in found] == list(range(31))
    sai = curves.query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'").set_index("epoch")
    for line in found:
        row = sai.loc[line.epoch]
        assert (line.value, line.chance, line.excess, line.z) == tuple(row[["value", "null_mean", "excess", "z"]])
    for field, where in (
        ("max_wsi", "metric == 'wsi' and variant == 'max'"),
        ("min_wsi", "metric == 'wsi' and variant == 'min'"),
        ("accuracy", "metric == 'accuracy' and split == 'test'"),
    ):
        assert [getattr(line, field) for line in found] == curves.query(where)["value"].to_list()


def test_of_several_saves_in_an_epoch_the_last_is_shown(make_run, tmp_path):
    run, out = make_run(epochs=0), tmp_path / "out"
    for step, weight in zip((30, 10, 20), heads(3), strict=True):
        save_head(run / f"{step}.pt", weight, epoch=1, global_step=step)
    analyze([run], out, Options(draws=0))
    (line,) = epoch_summaries(out, "run")
    curves = Results(out).curves.query("metric == 'wsi' and variant == 'max'").set_index("step")["value"]
    assert line.max_wsi == curves[30]
    assert curves.nunique() == 3


def test_mistakes_are_the_curves(analysed):
    curves = analysed.run.curves.query("run == 'cifar100-vit'")
    found = mistake_summaries(analysed.out, "cifar100-vit")
    assert list(found) == ["test"]
    assert [line.epoch for line in found["test"]] == list(range(31))
    errors = curves.query("metric == 'idm' and variant == 'errors'")
    for field, column, where in (
        ("nidm", "value", "of == 'ncsm'"),
        ("nidm_z", "z", "of == 'ncsm'"),
        ("chance", "null_mean", "of == 'ncsm'"),
        ("widm", "value", "of == 'scsm'"),
        ("widm_z", "z", "of == 'scsm'"),
    ):
        assert [getattr(line, field) for line in found["test"]] == errors.query(where)[column].to_list()
    followed = curves.query("of == 'ncsm,ccsm-test' and variant == 'cosine'")
    assert [line.ccsm for line in found["test"]] == followed["excess"].to_list()
    assert [line.ccsm_z for line in found["test"]] == followed["z"].to_list()
    assert [line.mistakes for line in found["test"]] == curves.query("metric == 'mistakes'")["value"].to_list()
    assert {line.gap for line in found["test"]} == {None}
