"""Tables -> matplotlib figures and animations. Reads tables only, and never imports torch.

``catalogue``  the figures that there are, and ``asked``, what one is asked for
``drawing``    from what a person asks for to files
``curves``     curves over epochs, with ``axes``, one pair of axes, and ``bands``, the phases behind them
``training``   SAI with loss and learning rate, on twin axes
``typicality`` how typical right and wrong samples are: curves, a table, histograms
``image_grid``     the most telling mistakes as images
``style``      sizes, fonts and colours of a figure, for paper and screen
``heatmaps``   matrices at chosen epochs side by side
``dendrogram`` a clustering beside its matrix
``animation``  a matrix over the epochs with the curve of its SAI
``sheet``      a figure laid out in inches; ``sides`` what stands beside a map's rows, ``scales`` its colours
"""
