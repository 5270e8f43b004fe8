"""Write the tables of a results folder into one self-contained HTML file.

``html``             the file: template, style, scripts and data as one text that is safe for any label
``page_data``        all data that the page shows, as JSON and packed matrices
``sentences``        what was analysed and found, in sentences
``best``             the best epoch by each criterion
``curve_data``       the curves and their chance levels
``classes``          class tables, orders and groups
``matrix_sources``   the matrices of a run, read one at a time
``matrix_codec``     matrices as whole numbers on one scale per kind, packed as text
``matrices``         the packed matrices of a run, and block means for epochs whose matrices are not in the page
``size_budget``      how many whole matrices the page may contain, and of which epochs
``class_agreement``  which classes and groups agree with the reference
``neighbor_data``    the nearest classes of each class, and the closest pairs, at every epoch
``mistake_data``     the most confused pairs, and the worst mistakes with their images
``comparison_page``  the page of a comparison of runs
``interval_svg``     confidence intervals of differences as small pictures
``notebook_card``    what a notebook shows for a results folder

``page/`` holds the templates, the style sheet and the scripts.
"""
