"""The optional branch: checkpoints and a labelled split -> what the network answers. The only place that knows torch.

``datasets``    a folder, a file or a name -> the `Samples` of a split; ``image_at`` opens one of its images again
``samples``     that record, and what every source of one needs; the sources: ``folders`` (of class folders),
                ``shards`` (Parquet and WebDataset), ``named`` (torchvision's), ``own`` (the user's function)
``images``      bytes or a file -> an image, or why not
``matching``    the data's classes -> the classifier's
``preprocess``  how an image becomes the model's input, and where that is known from
``decoding``    samples -> rows for the model: decoded once for all checkpoints, or again for each in any order
``functions``   ``file.py:NAME`` or ``module:NAME`` -> the user's function
``recorded``    what a trainer recorded of its model
``models``      a specification -> a model
``loading``     a checkpoint's weights -> into that model, in place and strictly
``predict``     a model on decoded images -> an `Answer`: counts, predictions, loss, templates; with ``outputs``, what comes
                out of a model, and ``precision``
``products``    products of rows on a device, for matrices of very many classes
``zero_shot``   networks with a text tower: class names as the classifier

Model code that runs is the user's or a library's, never a checkpoint's: weights are read by `dsi_cli.checkpoints`.
"""
