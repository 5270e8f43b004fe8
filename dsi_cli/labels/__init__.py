"""Label lists: the names of a classifier's classes, in its own order, and where they came from.

Modules
-------
lists
    ``LabelList``, the one record that all others return.
presets
    The lists that ship with the package, and how a given list is recognised as one of them.
matching
    Whether two lists are the same classes, whatever the spelling and the order.
variants
    Other names in wide use for the presets' classes.
files
    Label files, found beside checkpoints or named by the user (``read``: a file or a preset).
parsers
    The text of a label file (lines, tables, JSON, YAML) to names and ids.
numbering
    Class numbers next to names, and the order that they give.
mapping
    A person's own mapping of classes to synsets.
metadata
    A checkpoint's own metadata to names.
indexmaps
    Lists and index maps, as JSON files and metadata hold them, to names in order.

``data/`` holds the presets (``scripts/compile_presets.py``). What a name means is WordNet's business, not this
package's: ids are passed on as they are.
"""
