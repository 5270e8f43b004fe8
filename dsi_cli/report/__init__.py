"""The HTML report of a results folder, as one self-contained file that needs no
network.

``html``             the file: templates, style sheet, scripts and data as one text that
                     is safe for any label
``page_data``        all data of the report, as JSON and packed matrices
``overview``         the text of the first screen: finding, tiles, warnings, limits
``classes``          data of single classes: tables, orders, agreement with the
                     reference
``matrix_sources``   the matrices of a run, read one at a time
``matrix_summaries``  what a report derives from each matrix, kept for the next report
``matrix_codec``     packing of matrices as whole numbers
``matrices``         the packed matrices of a run, and how many of them fit into the
                     page
``comparison_page``  the pages of a comparison of runs and of the difference of two
                     networks
``notebook_card``    the HTML that a notebook shows for a results folder

The folder ``page/`` holds the templates, the style sheet and the scripts.
"""
