"""Text of the small scripts we run on an instance; every value is quoted for the remote shell."""

from __future__ import annotations

import shlex

_NEED_GIT = """\
if ! command -v git >/dev/null; then
  if command -v dnf >/dev/null; then sudo dnf install -y -q git
  elif command -v yum >/dev/null; then sudo yum install -y -q git
  else sudo apt-get update -qq && sudo apt-get install -y -qq git; fi
fi
"""


def remote_path(path: str) -> str:
    """``path`` quoted for the remote shell; a leading ``~`` still means the home directory.

    Example:
        >>> remote_path("~/my data")
        "~/'my data'"
    """
    home, slash, rest = path.partition("/")
    if home == "~":
        return f"~{slash}{shlex.quote(rest) if rest else ''}"
    return shlex.quote(path)


def clone_repo(link: str, directory: str) -> str:
    """Clone ``link`` into ``directory`` on the instance, installing git where the image lacks it.

    Example:
        >>> clone_repo("https://example.com/a.git", "a").splitlines()[-1]
        'git clone -- https://example.com/a.git a'
    """
    return f"set -e\n{_NEED_GIT}git clone -- {shlex.quote(link)} {remote_path(directory)}\n"


def update_repo(directory: str, branch: str | None = None, link: str | None = None) -> str:
    """Bring the clone in ``directory`` up to date, on ``branch`` and from ``link`` where they are given.

    Example:
        >>> print(update_repo("a", branch="main").splitlines()[-1])
        git pull --ff-only
    """
    lines = ["set -e", _NEED_GIT.rstrip(), f"cd -- {remote_path(directory)}"]
    if link:
        lines.append(f"git remote set-url origin {shlex.quote(link)}")
    lines.append("git fetch --prune origin")
    if branch:
        lines.append(f"git checkout {shlex.quote(branch)}")
    lines.append("git pull --ff-only")
    return "\n".join(lines) + "\n"
