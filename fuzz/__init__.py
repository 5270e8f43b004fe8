"""Mutated real checkpoints against the reader: ``python -m fuzz --inputs 20000 --seed
1``; ``docs/security.md`` says what for.

``makers``     small real files, each written by the library that it belongs to
``seeds``      the files that are mutated: those of ``makers``, and a corpus of
               trainers' files if DSI_SHARED names it
``mutations``  what is done to them: zip records, pickle instructions, JSON headers,
               other containers' records, plain bytes
``inputs``     input number i of a seed: always the same, given the same files
``readers``    what every input is given to, and what must hold of the answer
``guard``      one input under its limits: time, memory, and an audit hook that sees
               whatever Python does
``campaign``   worker processes and the watchdog that ends a hung one
``findings``   an input that did not end as it must: saved, and read again for a replay
``report``     the closing table
"""
