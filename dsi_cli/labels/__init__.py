"""Label lists: the names of a classifier's classes in its own order, and the source of
the list.

``label_list``  `LabelList`, the record that all other modules return, and the
                comparison of two lists
``presets``     the lists that ship with the package, and the recognition of a given
                list as a preset
``files``       label files, named by the user or found next to checkpoints, and the
                user's mapping of classes to synsets
``parsers``     the text of a label file (lines, tables, JSON, YAML)
``index_maps``  lists and index maps in JSON files and in a checkpoint's metadata

``data/`` contains the presets (``scripts/compile_presets.py``), and ``aliases.json``
other names of classes. This package does not interpret names or ids; `dsi_cli.wordnet`
does.
"""
