"""The one place that joins the parts: checkpoints -> matrices -> curves -> tables.

``options``    what a call may ask for, and which tables each option shapes
``hierarchy``  the taxonomy that classes hang in, WordNet's or one's own: order, groups, heights
``labelling``  a run's label list: where it was found, what WordNet says of it, the reference matrix
``label_files``  label files of all kinds, pickled label encoders among them
``earlier``    settings of earlier calls that are kept: labels, mapping, taxonomy, references, head
``reading``    a run's checkpoints: what an earlier call knows already, what must be read
``answers``    what a run's networks answer on a split: stored, or made by a source
``given``      a source: predictions made elsewhere
``evaluating`` a source: the user's model, run on ``labelled_data``
``answering``  the answers of all runs on all splits
``references``  what ``--reference`` names, opened; ``own_matrix`` a matrix of the user's own
``semantics``  the reference matrices of a run, prepared for all its epochs
``curves``     the rows of the curves table
``by_class``   the table of alignments by class and by group
``phases``     the rows of the phases table, from those
``tables``     the tables at the top: what an earlier call left that holds, and writing them
``summary``    what a call did, and how far it is
``analysis``   the whole, with progress as plain events
``watching``   the same again and again while training still writes
``scanning``   what an analysis would find, nothing written
``installation``  versions, the machine, what is missing
``reference``  the reference matrix of a label list alone
"""
