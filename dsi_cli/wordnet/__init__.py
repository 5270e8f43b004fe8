"""WordNet: what a label means, and how far two meanings are apart. Nouns and verbs of 3.0 are shipped.

Modules
-------
net
    One WordNet's nouns or verbs, all that is known of them: handed to whatever looks labels up.
taxonomy
    The graph of hypernyms: nodes by id and by name, ancestors, the order of classes.
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
lexicon
    Words: the lemmas in sense order, plurals and other forms to base forms, nearest spellings.
senses
    Labels (WordNet ids, synset names or words) to synsets, each with its confidence, alternatives and reason.
ids
    What a label says without words: an id, a synset name, or nothing that can be looked up.
forms
    Words to the synsets that have them, in whatever form and spelling.
placeholders
    Labels that are no class names, such as ``class_7``.
candidates
    A label's text to the synsets that it could mean.
evidence, choosing, weights, reasons
    The choice among these for a whole list at once: what speaks for each, how it is weighed, and said in words.

installed, compiled
    Another WordNet that NLTK has installed, and the tables that are made of it, and were made of 3.0.

``data/`` holds the compiled nouns and verbs (``scripts/compile_wordnet.py``) and WordNet's licence; nothing is downloaded. The
other versions of WordNet have other ids: an id is one of 3.0, as ImageNet's are, unless another version is asked for.
"""
