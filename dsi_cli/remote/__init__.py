"""Files that lie elsewhere, by URL (``s3://``, ``gs://``, ``hf://``, ``memory://``), over fsspec and universal_pathlib.

``urls``        what is a URL, and how one is shown: without passwords and tokens
``connecting``  the server behind a URL: bounds on time, a few more tries, every error one plain `OSError`
``places``      from what a user typed to a path of this machine, or to a remote path whose folder is listed
``paths``       `RemotePath`, a path of universal_pathlib
``ranges``      a remote file in few requests
``copies``      files on this machine in place of remote ones
``names``       how copies are called, and the URL in their place in messages

Local files never come here: `places.place` gives a `pathlib.Path` for them, ``file://`` included.
"""
