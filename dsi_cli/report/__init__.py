"""Tables -> one self-contained HTML file.

``document``   the file: the page's parts and the data in one text, safe for any label
``contents``   all that the page shows, as JSON and packed frames
``words``      what was analysed and found, in sentences
``best``       the best epoch by each criterion
``drawn``      the curves and their chance levels, for the page's panels
``classes``    class tables, orders and groups
``frames``     matrices as whole numbers on one scale a kind, packed
``sources``    the matrices of a run, read one at a time
``budget``     how many matrices are kept whole, of which epochs
``matrices``   a run's matrices, packed, and the means of blocks between those that are whole
``agreement``  which classes and groups agree with the reference
``closest``    each class's nearest classes, and the closest pairs, at every epoch
``mistaken``   the most confused pairs, and the mistakes with their images
``compared``   the page of a comparison: verdict, curves of all together, tables at equal accuracy
``card``       what a notebook shows of an output
``intervals``  intervals of differences as small pictures

``page/`` holds the pages themselves: a template each, a style sheet, and scripts that are put one after another as they are.
"""
