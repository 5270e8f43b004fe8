"""The revisions of a repository on the Hugging Face Hub: its commits, tags and
branches, each a folder that can be read.

huggingface_hub sends the requests. It finds the token (``HF_TOKEN``, or the file of
``hf auth login``), which dsi never sees.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from dsi_cli.errors import UnreachableError, UsageError, count, nearest
from dsi_cli.remote import filesystem, urls
from dsi_cli.remote.locations import Version
from dsi_cli.remote.remote_path import RemotePath, path_for_url

COMMITS, TAGS, BRANCHES = "commits", "tags", "branches"
_REPOSITORY = re.compile(
    r"(?P<kind>(datasets|spaces)/)?(?P<id>[^/@]+(/[^/@]+)?)(@(?P<revision>refs/(pr|convert)/[^/]+|[^/]+))?(/(?P<path>.*))?"
)
_LOGIN = "; if it is private, run hf auth login or set HF_TOKEN"


class History(NamedTuple):
    """The revisions of a folder in a repository, the oldest first."""

    # the folder at the revision that the URL names, or on the main branch
    folder: RemotePath
    are_commits: bool  # True if the texts are titles of commits, and not names
    revisions: list[Version]


def list_revisions(
    url: str,
    wanted: str,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> History:
    """List the revisions of a repository, and the folder of the URL at each of them.

    Raise `UsageError` if the URL is not a repository's (``not-a-repository``), the
    repository or the branch does not exist (``no-such-path``), or no tag and branch
    fits (``no-such-revision``). Raise `UnreachableError` if the server does not
    respond, or denies access.

    Parameters
    ----------
    url : ``hf://ORG/MODEL``, with a folder in it if the checkpoints are not at the top.
    wanted : ``commits`` (of the branch in the URL), ``tags``, ``branches``, or a
        pattern of names of tags and branches.
    progress : called with the number of listed revisions and their total.
    """
    shown = urls.without_secrets(url)
    match = _REPOSITORY.fullmatch(url.partition("://")[2].strip("/"))
    if urls.scheme_of(url) != "hf" or match is None:
        message = (
            "--revisions needs a repository of the Hugging Face Hub, hf://ORG/MODEL;"
            f" {shown} is not one"
        )
        raise UsageError(message, code="not-a-repository", path=shown)
    fs, _ = filesystem.open_filesystem(url)
    server = filesystem.server_of(fs)
    try:
        name, titles = server.send(lambda: _titles(fs, match, wanted, shown))
    except FileNotFoundError:
        where = f"{shown} does not exist on the Hub"
        raise UsageError(
            where,
            hint=f"check the names of repository and revision{_LOGIN}",
            code="no-such-path",
            path=shown,
        ) from None
    except OSError as error:
        advice = _LOGIN if isinstance(error, PermissionError) else ""
        raise UnreachableError(
            f"{shown} cannot be listed: {error.strerror or error}{advice}"
        ) from None

    # All folders share one file system, which keeps their listings. Threads would make
    # one each.
    top = path_for_url(f"hf://{match['kind'] or ''}{name.rpartition('/')[0]}")
    fs = top.fs
    # Otherwise, HfFileSystem asks for each revision whether it exists before it lists
    # it.
    exists = getattr(fs, "_repo_and_revision_exists_cache", {})
    exists |= {
        ((match["kind"] or "models/").rstrip("s/"), name, revision): (True, None)
        for revision in titles
    }

    def folder_at(revision: str | None) -> RemotePath:
        end = "" if revision is None else f"@{quote(revision, safe='%')}"
        folder: RemotePath = top / f"{name.rpartition('/')[2]}{end}"
        return folder / match["path"] if match["path"] else folder

    def list_folder(revision: str) -> Version | None:
        folder = folder_at(revision)
        try:
            if wanted != COMMITS or folder.path not in fs.dircache:
                server.send(lambda: fs.ls(folder.path, refresh=True))
        except OSError as error:
            if match["path"] and isinstance(error, FileNotFoundError):
                return None  # a folder may be younger than a revision
            return Version(folder, titles[revision], error)
        return Version(folder, titles[revision])

    listed: list[Version] = []
    with ThreadPoolExecutor(filesystem.WORKERS) as pool:
        for done, revision in enumerate(pool.map(list_folder, titles), start=1):
            if revision is not None:
                listed.append(revision)
            progress(done, len(titles))
    errors = [revision.error for revision in listed if revision.error is not None]
    if errors and len(errors) == len(listed):
        raise UnreachableError(
            f"{shown} cannot be listed: {errors[0].strerror or errors[0]}"
        )
    return History(folder_at(match["revision"]), wanted == COMMITS, listed)


def _titles(
    fs: Any, match: re.Match[str], wanted: str, shown: str
) -> tuple[str, dict[str, str]]:
    """Return the full name of the repository, and the title of each wanted revision,
    the oldest commit first.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=fs.endpoint, token=fs.token)
    kind = match["kind"] and match["kind"].rstrip("s/")
    revision = match["revision"] and unquote(match["revision"])
    # This request fails at once without a network, whereas huggingface_hub repeats the
    # others for half a minute.
    name = str(api.repo_info(match["id"], revision=revision, repo_type=kind).id)
    if wanted == COMMITS:
        commits = api.list_repo_commits(name, revision=revision, repo_type=kind)
        return name, {commit.commit_id: commit.title for commit in reversed(commits)}
    refs = api.list_repo_refs(name, repo_type=kind)
    tags = [tag.name for tag in refs.tags]
    branches = [branch.name for branch in refs.branches]
    fitting = [ref for ref in [*tags, *branches] if fnmatchcase(ref, wanted)]
    names = {TAGS: tags, BRANCHES: branches}.get(wanted, fitting)
    if not names:
        near = nearest(wanted, [*tags, *branches])
        what = wanted if wanted in (TAGS, BRANCHES) else f"tag or branch {wanted}"
        if near:
            advice = f"; try {near}"
        else:
            advice = ": list its commits with --revisions commits"
        message = (
            f"{shown} has no {what} ({count(len(tags), 'tag')},"
            f" {count(len(branches), 'branch')}){advice}"
        )
        raise UsageError(message, code="no-such-revision", path=shown, revisions=wanted)
    return name, {ref: ref for ref in names}
