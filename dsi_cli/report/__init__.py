"""The HTML report of a results folder, as one self-contained file that needs no network.

``html``             the file: templates, style sheet, scripts and data as one text that is safe for any label
``page_data``        all data of the report, as JSON and packed matrices
``overview``         the text of the first screen: finding, tiles, limits
``warnings``         warnings about the results, one for each cause
``curve_data``       the curves and their chance levels
``classes``          data of single classes: tables, orders, agreement with the reference, geometry, common hypernyms
``matrix_sources``   the matrices of a run, read one at a time
``matrix_codec``     packing of matrices as whole numbers on one scale per matrix kind
``matrices``         the packed matrices of a run, and block means for epochs without complete matrices in the page
``size_budget``      the number and epochs of complete matrices that fit into the page
``neighbor_data``    the nearest classes of each class, and the closest pairs, at every epoch
``mistake_data``     the most confused pairs, and the worst mistakes with their images
``comparison_page``  the page of a comparison of runs
``notebook_card``    the HTML that a notebook shows for a results folder

The folder ``page/`` holds the templates, the style sheet and the scripts.
"""
