"""WordNet 3.0's nouns: what a label means, and how far two meanings are apart.

Modules
-------
taxonomy
    The graph of hypernyms: nodes by id and by name, glosses, ancestors, the order of classes.
paths
    Shortest paths and path similarity of all pairs of labels (the SCSM).
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
