"""Join the other packages into analyses: checkpoints to classifier heads, matrices, metrics and tables.

``option_groups``     the options, each declared once with its help text, metavar and section
``options``           the settings of an analysis, made from them, and which tables each setting affects
``earlier_settings``  the settings that later calls take over from earlier ones
``analyze``           the analysis itself, with progress as events
``comparison``        compare the matrices of all epochs, whole or in blocks of rows, and write the tables
``watch``             the same repeatedly while a training still writes
``scan``              find and scan the checkpoints that an analysis reads; writes nothing
``summary``           what an analysis did and how far it is
``report_file``       write ``report.html`` where the tables have changed
``classifiers``       read the heads of a run's checkpoints and make the weight similarity matrices
``semantics``         labels, class hierarchy and reference matrices
``evaluation``        predictions from files or from a model, stored per epoch
``tables``            the rows of the result tables
"""
