"""The table of rules against a layer: each one counts against the layer of its
example.
"""

import re

import pytest

from dsi_cli.checkpoints.head_rules import RULES, Network, Rule
from dsi_cli.checkpoints.tensors import Storage, contiguous
from dsi_cli.checkpoints.trainers import RAW, NestedStateDict


def example_network(text: str) -> Network:
    """Return the network of an example, such as ``fc.weight 10x64, net: bn.bias 64``,
    where a key of an outer dict has a colon.
    """
    groups: dict[tuple[str, ...], dict] = {}
    for key, name, sizes in re.findall(r"(?:(\w+): )?(\S+) ([\dx]+)", text):
        shape = tuple(int(size) for size in sizes.split("x"))
        storage = Storage(name, "float32", 1 << 20)
        path = (key,) if key else ()
        groups.setdefault(path, {})[name] = contiguous("float32", shape, storage)
    return Network(
        [NestedStateDict(path, tensors, RAW) for path, tensors in groups.items()], None
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.why)
def test_rule_on_its_example_counts_against_the_layer(rule: Rule) -> None:
    network = example_network(rule.example)
    hit = {it.name for it in network.layers if rule.test(network, it) is not None}
    assert rule.hit in hit
