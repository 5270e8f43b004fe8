"""dsi compared with what a user would do otherwise, measured in one run; it writes
``benchmarks/results/performance.md``.

``heads``     the head of a large checkpoint: `dsi_cli.read_head` compared with torch
              and safetensors
``wordnet``   path similarity of a label list, compared with NLTK's loop over pairs
``analysis``  a whole ``dsi analyze``, compared with the way by hand (``by_hand``)
``report``    the HTML report and the figures of large outputs, on runs from
              ``interpolated``
``callbacks`` the time of the curves during a training
``startup``   the time of a command before it does anything
``rows``      a line of the table, and the page that holds it
``timing``    calls in turns, and processes with their peak memory
``scratch``   the files that are measured, made once

A part is a function ``measure(setup)`` that returns rows. If torch or NLTK's data is
missing, its row has the reason.
"""
