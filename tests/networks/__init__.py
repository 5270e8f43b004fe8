"""A corpus of small networks as people write them, each with its checkpoint and its
true classifier weight.

Where only the names, the order and the shapes of the tensors matter, a network is a
line of ``layouts.jsonl``. The modules of this folder build and train the others. To add
a network from a bug report, append the line that this prints::

    json.dumps({"name": ..., "head": ..., "tensors": {name: [*tensor.shape] for name,
    tensor in state_dict.items()}})
"""

from networks.cases import Case
from networks.containers import CASES, IN_PARTS
from networks.layouts import Layout, layouts


def cases() -> dict[str, Case | Layout]:
    """Return every network under its name with the family before it, as in
    ``recurrent/lstm_fc``.
    """
    families = {"containers": CASES, "factorised": IN_PARTS}
    built = {
        f"{family}/{case.name}": case
        for family, found in families.items()
        for case in found
    }
    return built | {layout.name: layout for layout in layouts()}
