"""Join the other packages into analyses: checkpoints to classifier heads, matrices,
metrics and tables.

``analyze``           the analysis itself: plan, rows, tables
``plan``              everything that a call names, read once and checked once
``rows_plan``         what the checkpoints of a run are compared with
``epoch_rows``        what is computed from one checkpoint, a pure function
``cache``             what was read or computed once, under the hash of what it depends
                      on
``previous_plan``     what a call records for the next one, and the settings that are
                      kept
``option_groups``     the options, each declared once with its help text, metavar and
                      section
``options``           the settings of an analysis, made from them, and which tables each
                      setting affects
``watch``             the same repeatedly while a training still writes
``scan``              find and scan the checkpoints that an analysis reads; writes
                      nothing
``summary``           what an analysis did and how far it is
``report_file``       write ``report.html`` where the tables have changed
``classifiers``       read the heads of a run's checkpoints
``semantics``         labels, class hierarchy and reference matrices
``evaluation``        predictions from files or from a model
``tables``            the rows of the result tables, and the files of single epochs
"""
