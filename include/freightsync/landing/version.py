"""Which code landed a batch: the git revision of the clone, else the package's version."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata
from pathlib import Path

from freightsync.settings import find_project


@lru_cache(maxsize=1)
def code_version() -> str:
    """Twelve digits of the revision that is checked out, or the installed version where there is no clone."""
    revision = _revision(find_project() / ".git")
    if revision:
        return revision[:12]
    return metadata.version("freightsync")


def _revision(git: Path) -> str | None:
    try:
        if git.is_file():  # a linked worktree
            git = (git.parent / git.read_text().partition(":")[2].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head[5:]
        common = (git / (git / "commondir").read_text().strip()).resolve() if (git / "commondir").exists() else git
        for place in (git, common):
            if (place / name).is_file():
                return (place / name).read_text().strip()
        for line in (common / "packed-refs").read_text().splitlines():
            revision, _, ref = line.partition(" ")
            if ref == name:
                return revision
    except OSError:
        return None
    return None
