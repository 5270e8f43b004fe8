"""Every option is declared once: the commands, the Python API and the documentation
agree.
"""

import inspect
import re

import pytest
import typer.main

import dsi_cli
from dsi_cli.analysis.option_groups import groups, keywords
from dsi_cli.analysis.option_groups.declaration import declared_options
from dsi_cli.analysis.options import SETTINGS, Evaluation, Options
from dsi_cli.cli.analyze import read_options
from dsi_cli.cli.app import app
from dsi_cli.cli.options import read_values
from dsi_cli.errors import UsageError

SECTIONS = {"analyze": groups.ANALYZE, "watch": groups.WATCH}
AS_TYPED = """
revisions=tags epochs=0:20:5 names={epoch}.pt head=fc.weight log=log.csv labels=cifar10 mapping=map.csv pos=verb
taxonomy=tree.csv predictions=p.npy targets=t.npy truth=columns test=data train=data data_root=root
model=timm:resnet18 device=cpu"""
VALUES = {
    **{
        field: (text, text)
        for field, _, text in (one.partition("=") for one in AS_TYPED.split())
    },
    **dict.fromkeys(("ema", "keep_extra_classes", "templates"), (None, True)),
    "permutations": ("7", 7),
    "image_size": ("64", 64),
    "batch_size": ("16", 16),
    "references": ("wup", ("wup",)),
    "classes": ("animal.n.01", "animal.n.01"),
    "clusters": ("superclass", "superclass"),
    "measures": ("ssim", ("ssim",)),
    "model_arguments": ("depth=4", (("depth", 4),)),
    **dict.fromkeys(("mean", "std"), ("0.1,0.2,0.3", (0.1, 0.2, 0.3))),
}
"""For each option of an analysis a text on the command line (None for a switch), and
the value that dsi reads from it.
"""
NEEDS = {"targets": ("--predictions", "p.npy")} | dict.fromkeys(
    ("data_root", "model", "model_arguments", "templates", "image_size", "mean", "std"),
    ("--train", "images"),
)
WATCH_ONLY = {"every", "until_epoch", "idle"}
MAX_OPTIONS = {"analyze": 38, "watch": 39}


def options_of(verb):
    return [
        declared
        for parts in SECTIONS[verb].values()
        for group in parts
        for declared in declared_options(group)
    ]


def command(verb):
    return typer.main.get_command(app).commands[verb]


@pytest.mark.parametrize("verb", SECTIONS)
def test_the_command_has_the_declared_options_in_their_sections(verb):
    parameters = {parameter.name: parameter for parameter in command(verb).params}
    declared = {
        one.parameter: (one, title)
        for title, parts in SECTIONS[verb].items()
        for g in parts
        for one in declared_options(g)
        if not one.option.is_python_only
    }
    assert set(parameters) == {*declared, "verbose"}
    assert len(declared) - 1 <= MAX_OPTIONS[verb]  # the checkpoints are no option
    for name, (one, title) in declared.items():
        assert parameters[name].rich_help_panel == title
        assert parameters[name].metavar == (one.option.metavar or None)
        assert [*parameters[name].opts, *parameters[name].secondary_opts] == (
            [flag for flags in one.option.flags for flag in flags.split("/")] or [name]
        )


def test_analyze_has_a_typed_and_documented_keyword_for_each_declared_option():
    evaluation = {declared.field for declared in declared_options(Evaluation)}
    declared = {
        one.field
        for one in options_of("analyze")
        if not one.option.is_terminal_only and one.field not in evaluation
    }
    assert set(inspect.signature(dsi_cli.analyze).parameters) == {
        *declared,
        "evaluation",
    }
    assert set(keywords.AnalyzeOptions.__annotations__) == {
        *declared - {"checkpoints", "out"},
        "evaluation",
    }


def test_analyze_with_an_unknown_keyword_raises(tmp_path):
    with pytest.raises(TypeError, match="unexpected keyword argument 'lables'"):
        dsi_cli.analyze(tmp_path, lables="cifar10")


def test_the_defaults_of_the_command_are_those_of_the_fields():
    parameters = {parameter.name: parameter for parameter in command("analyze").params}
    for declared in options_of("analyze"):
        option = declared.option
        if option.is_python_only:
            continue
        default = parameters[declared.parameter].default
        if option.text_default is not None:
            assert option.parse(option.text_default) == declared.default
            assert default == option.text_default
        elif option.is_kept or isinstance(declared.default, tuple):
            assert default is None, "dsi sees whether the option was given"
        else:
            assert default == declared.default


def test_watch_has_every_option_of_analyze():
    fields = {verb: {one.field for one in options_of(verb)} for verb in SECTIONS}
    assert fields["watch"] == fields["analyze"] | WATCH_ONLY


@pytest.mark.parametrize("verb", SECTIONS)
@pytest.mark.parametrize("field", VALUES)
def test_each_option_of_the_command_is_the_field_of_the_analysis(field, verb):
    declared = next(one for one in options_of(verb) if one.field == field)
    text, value = VALUES[field]
    arguments = [
        "ckpts",
        *NEEDS.get(field, ()),
        declared.option.flag,
        *([] if text is None else [text]),
    ]
    typed = command(verb).make_context(verb, arguments).params
    options = read_options(read_values(SECTIONS[verb], typed))
    holder = options.evaluation if hasattr(options.evaluation, field) else options
    assert getattr(holder, field) == value
    kept = "predictions" if field == "targets" else field
    assert options.given == SETTINGS.keys() & {kept}


def test_the_table_of_values_has_every_option_of_an_analysis():
    assert set(VALUES) == {
        one.field
        for group in (Options, Evaluation)
        for one in declared_options(group)
        if not one.option.is_python_only
    }


def test_every_help_text_is_a_sentence_and_every_value_has_a_placeholder():
    for declared in options_of("watch"):
        option = declared.option
        assert re.fullmatch(r"[A-Z0-9t].*[.)]", option.help), declared.field
        if not option.is_python_only:
            assert bool(option.metavar) == (declared.type is not bool), declared.field


@pytest.mark.parametrize(
    ("option", "given", "meant"),
    [
        ("mean", "127.5,127.5,127.5", "0.5,0.5,0.5"),
        ("std", "58.395,57.12,57.375", "0.229,0.224,0.225"),
    ],
)
def test_evaluation_values_of_pixels_from_0_to_255_are_refused_with_those_meant(
    option, given, meant
):
    kind = {"mean": "means", "std": "deviations"}[option]
    with pytest.raises(UsageError) as refused:
        Evaluation(test="data", **{option: tuple(map(float, given.split(",")))})
    assert (
        str(refused.value)
        == f"--{option} takes {kind} in [0, 1], and {given} are not; write --{option}"
        f" {meant}"
    )
