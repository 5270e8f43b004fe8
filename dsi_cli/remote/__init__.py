"""Remote files by URL (``s3://``, ``gs://``, ``hf://``, ``memory://``), based on fsspec
and universal_pathlib.

- ``hub``: the revisions of a repository on the Hugging Face Hub
- ``urls``: recognises URLs, removes passwords and tokens, and names local copies
- ``filesystem``: the file system behind a URL, with time limits and retries; every
  error is one plain `OSError`
- ``locations``: from the text that a user typed to a local path, or to a remote path
  whose folder is listed
- ``remote_path``: `RemotePath`, a path of universal_pathlib
- ``download``: local copies of remote files

Local files never come here: `locations.locate` returns a `pathlib.Path` for them,
including ``file://`` URLs.
"""
