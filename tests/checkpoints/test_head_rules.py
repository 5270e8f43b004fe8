"""The tables of rules: each one counts against the layer of its example, or asks about
it.
"""

import re

import pytest

from dsi_cli.checkpoints import head_rivals
from dsi_cli.checkpoints.head_choice import choose_head
from dsi_cli.checkpoints.head_rivals import RivalRule
from dsi_cli.checkpoints.head_rules import RULES, Network, Rule
from dsi_cli.checkpoints.tensors import Storage, contiguous
from dsi_cli.checkpoints.trainers import RAW, NestedStateDict
from dsi_cli.errors import AmbiguousHeadError


def example(text: str) -> list[NestedStateDict]:
    """Return the state dicts of an example, such as ``fc.weight 10x64, net: bn.bias 64``,
    where a key of an outer dict has a colon.
    """
    groups: dict[tuple[str, ...], dict] = {}
    for key, name, sizes in re.findall(r"(?:(\w+): )?(\S+) ([\dx]+)", text):
        shape = tuple(int(size) for size in sizes.split("x"))
        storage = Storage(name, "float32", 1 << 20)
        path = (key,) if key else ()
        groups.setdefault(path, {})[name] = contiguous("float32", shape, storage)
    return [NestedStateDict(path, tensors, RAW) for path, tensors in groups.items()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.why)
def test_rule_on_its_example_counts_against_the_layer(rule: Rule) -> None:
    network = Network(example(rule.example), None)
    hit = {it.name for it in network.layers if rule.test(network, it) is not None}
    assert rule.hit in hit


@pytest.mark.parametrize("rule", head_rivals.RULES, ids=lambda rule: rule.name)
def test_rival_rule_on_its_example_asks_about_the_layer(
    rule: RivalRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = example(rule.example)
    monkeypatch.setattr(head_rivals, "RULES", ())
    assert choose_head(groups, RAW, classes=rule.classes).full_name != rule.rival
    monkeypatch.setattr(head_rivals, "RULES", (rule,))
    with pytest.raises(AmbiguousHeadError) as raised:
        choose_head(groups, RAW, classes=rule.classes)
    titles = raised.value.fields["candidates"]
    assert rule.rival in [title.split(" ")[0] for title in titles]
