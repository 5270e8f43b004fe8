"""WordNet 3.0's nouns: what a label means, and how far two meanings are apart.

Modules
-------
taxonomy
    The graph of hypernyms: nodes by id and by name, glosses, ancestors, the order of classes.
paths
    Shortest paths and path similarity of all pairs of labels (the SCSM).
measures
    The other similarities: Wu-Palmer, Leacock-Chodorow, and those by information content.
information
    Information content files in NLTK's format.
own
    A taxonomy of one's own in place of WordNet, as CSV.
subsumers
    What two labels have in common: the height of their lowest common hypernym, and the like.
groups
    The hypernyms that group the classes of a list: brackets, blocks, superclasses.
blocks
    The same by blocks of rows, and each label's nearest alone, for long lists.
lexicon
    Words: the lemmas in sense order, plurals to base forms, nearest spellings.
senses
    Labels (WordNet ids, synset names or words) to synsets, each with its confidence, alternatives and reason.
ids
    What a label says without words: an id, a synset name, or nothing that can be looked up.
candidates
    A label's words to the synsets that they could mean.
evidence, choosing, weights, reasons
    The choice among these for a whole list at once: what speaks for each, how it is weighed, and said in words.

``data/`` holds the compiled nouns (``scripts/compile_wordnet.py``) and WordNet's licence; nothing is downloaded. The
other versions of WordNet have other ids: an id is always one of 3.0, as ImageNet's are.
"""
