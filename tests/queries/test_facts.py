"""Facts are stored as they were noticed, and only the renderer has words for them."""

import json
import re
from pathlib import Path

import pytest
import torch
from helpers.outputs import heads, save_head

import dsi_cli
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.facts import Fact, fact
from dsi_cli.queries import facts

PACKAGE = Path(dsi_cli.__file__).parent
QUICK = Options(draws=0, permutations=0)


def zero(run, *epochs, classes=("frog",)):
    return Fact("zero-weights", run, epochs, {"classes": list(classes)})


@pytest.mark.parametrize(
    ("noticed", "texts"),
    [
        ([zero("a", 4)], ["a: {} (epoch 4)"]),
        (
            [zero("a", 9), zero("a", 3), zero("a", 30)],
            ["a: {} (3 epochs from 3 to 30)"],
        ),
        ([zero("a"), zero("b")], ["{}"]),
        ([zero("a", 1), zero("b", 2)], ["a: {} (epoch 1)", "b: {} (epoch 2)"]),
    ],
)
def test_messages_group_epochs_and_name_runs_that_differ(noticed, texts):
    text = "the weights of class 'frog' are zero, so its similarity to all others is 0"
    found = [message.text for message in facts.messages(noticed, ["a", "b"])]
    assert found == [expected.format(text) for expected in texts]


def test_messages_put_errors_first_and_name_the_command_of_the_first_run():
    unsure = {"senses": [["crane", "crane.n.04"]], "command": "dsi labels a.txt"}
    failed = {"files": ["1.pt", "2.pt", "3.pt"], "reason": "cut off", "folder": "c"}
    found = facts.messages(
        [
            zero("a"),
            Fact("senses-uncertain", "a", (), unsure),
            Fact("senses-uncertain", "b", (), unsure | {"command": "dsi labels b.txt"}),
            Fact("checkpoints-failed", "b", (), failed),
        ],
        ["a", "b"],
    )
    assert [(message.severity, message.text, message.command) for message in found][
        :1
    ] == [("error", "b: 1.pt and 2 more cannot be used: cut off", "dsi scan c")]
    assert [message.code for message in found[1:]] == [
        "zero-weights",
        "senses-uncertain",
    ]
    assert found[2].text.endswith("of 1 label: crane → crane.n.04")
    assert found[2].command == "dsi labels a.txt"


def test_facts_table_has_what_was_noticed_and_a_later_call_shows_it_again(
    make_run, tmp_path
):
    run, out = make_run(epochs=3), tmp_path / "out"
    weight = heads(1)[0]
    weight[3] = 0
    for epoch in (1, 2):
        save_head(run / f"epoch_{epoch}.pt", weight, epoch=epoch)
    save_head(run / "epoch_4.pt", torch.full((8, 8), torch.nan), epoch=4)
    first = analyze([run], out, QUICK)
    table = dsi_cli.open_results(out).facts.set_index("code")
    assert table["severity"].to_dict().items() >= {
        ("checkpoints-failed", "error"),
        ("zero-weights", "warning"),
    }
    assert list(table.loc["zero-weights", "epochs"]) == [1, 2]
    assert json.loads(table.loc["zero-weights", "fields"]) == {"classes": ["frog"]}
    stored = facts.of_results(dsi_cli.open_results(out))
    assert facts.messages(stored, ["run"]) == first.messages
    again = analyze([run], out, QUICK)
    assert (again.messages, again.unchanged) == (first.messages, True)


def test_every_code_that_a_step_notices_has_words():
    used = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'\b(?:fact|Fact)\(\s*"([a-z-]+)"', text))
    assert used <= facts.KINDS.keys()
    assert len(used) > 20


def test_line_of_a_message_has_what_to_do():
    (message,) = facts.messages([fact("no-labels", classes=8)], [])
    assert message.line.startswith("dsi found no names for 8 classes")
    assert message.line.endswith("dsi labels --presets")
