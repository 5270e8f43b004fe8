"""dsi next to what a user would do otherwise, measured in one run; it writes ``benchmarks/results/performance.md``.

``heads``     the classifier out of a large checkpoint: `dsi_cli.read_head` beside torch and safetensors
``wordnet``   path similarity of a label list: ours beside NLTK's loop over pairs
``analysis``  a whole ``dsi analyze`` beside the way by hand (``by_hand``), and how its time grows
``report``    the HTML report and the figures of large outputs, on runs that ``interpolated`` makes up
``callbacks`` what the curves of a running training cost it
``phases``    how well phases are found on made-up curves (``python -m benchmarks.phases``)
``startup``   what a command costs before it does anything
``rows``      a line of the table, and the page that holds it
``timing``    calls in turns, and processes with their peak memory
``scratch``   the files that are measured, made once

A part is a function ``measure(setup)`` that returns rows. What a part lacks (torch, NLTK's data) is a row with the reason.
"""
