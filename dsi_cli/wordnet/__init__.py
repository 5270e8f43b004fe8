"""WordNet: the synsets that labels mean, and the similarity of synsets. The nouns and
verbs of version 3.0 are shipped.

``database``        synsets, lemmas and hypernyms: ``wordnet`` (one WordNet with all its
                    parts), ``taxonomy`` (the graph of hypernyms), ``lexicon`` (words),
                    ``nltk_data`` (tables from NLTK, for other versions),
                    ``custom_taxonomy`` (a file in place of WordNet)
``disambiguation``  which synset a label means: ``identifiers`` and ``candidates`` look
                    a label up; ``features``, ``context`` and ``scoring`` choose among
                    the candidates and explain the choice; ``resolve`` does both for a
                    list
``similarity``      ``path_similarity`` (shortest paths, the SCSM, common hypernyms),
                    ``measures`` (Wu-Palmer, Leacock-Chodorow and those by information
                    content)

``data/`` contains the compiled tables (``scripts/compile_wordnet.py``) and WordNet's
licence. Nothing is downloaded. Ids are those of WordNet 3.0, as in ImageNet, unless
another version is given.
"""
