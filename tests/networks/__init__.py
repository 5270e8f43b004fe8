"""A corpus of small networks as people write them, each with its checkpoint and its true classifier weight.

Where only the names, the order and the shapes of the tensors matter, a network is a line of ``layouts.jsonl``. The modules of
this folder build and train the others. To add a network from a bug report, append the line that this prints::

    json.dumps({"name": ..., "head": ..., "tensors": {name: [*tensor.shape] for name, tensor in state_dict.items()}})
"""

from networks import containers, factorised
from networks.cases import Case
from networks.layouts import Layout, layouts


def cases() -> dict[str, Case | Layout]:
    """Return every network under its name with the family before it, as in ``recurrent/lstm_fc``."""
    modules = {"containers": containers, "factorised": factorised}
    built = {f"{family}/{case.name}": case for family, module in modules.items() for case in module.CASES}
    return built | {layout.name: layout for layout in layouts()}
