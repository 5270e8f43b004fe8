"""Files that lie elsewhere, by URL (``s3://``, ``gs://``, ``hf://``, ``memory://``), over fsspec.

``urls``        what is a URL, and how one is shown: without passwords and tokens
``connecting``  the server behind a URL: bounds on time, a few more tries, every error one plain `OSError`
``places``      `RemotePath`: the parts of `pathlib.Path` that readers need, answered from one listing
``copies``      files on this machine in place of remote ones; ``lasting``, the folder for them
``ranges``      a remote file in few ranges

Local files never come here: `places.place` gives a `pathlib.Path` for them, ``file://`` included.
"""
