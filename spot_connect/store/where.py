"""Where the state is, and for which of the two clouds.

It imports little: a command over a held line needs no more of the store than this.
"""

from __future__ import annotations

import os

HOME_VARIABLE = "SPOT_CONNECT_HOME"
LOCAL_VARIABLE = "SPOT_CONNECT_LOCAL"
EFS_TLS_VARIABLE = "SPOT_CONNECT_EFS_TLS"
STRICT_VARIABLE = "SPOT_CONNECT_STRICT_HOST_KEY"
TAGS_VARIABLE = "SPOT_CONNECT_TAGS"


def home_directory() -> str:
    """The directory all state is in: ``$SPOT_CONNECT_HOME``, else ``.spot_connect`` in the user's home."""
    chosen = os.environ.get(HOME_VARIABLE) or os.path.join("~", ".spot_connect")
    return os.path.join(os.getcwd(), os.path.expanduser(chosen))


def realm_directory(*, local: bool) -> str:
    """Where the state of the real cloud, or that of the local one, is."""
    return os.path.join(home_directory(), "local", "client") if local else home_directory()


def local_is_chosen(choice: bool | None = None) -> bool:
    """Whether the local cloud was asked for, by argument or else by ``SPOT_CONNECT_LOCAL``.

    Raises:
        UsageError: the variable holds something that is not a yes or no.
    """
    return _chosen(choice, LOCAL_VARIABLE)


def is_strict(choice: bool | None = None) -> bool:
    """Whether no host key is accepted on first sight, by argument or else by ``SPOT_CONNECT_STRICT_HOST_KEY``.

    Raises:
        UsageError: the variable holds something that is not a yes or no.
    """
    return _chosen(choice, STRICT_VARIABLE)


def efs_must_encrypt(choice: str | None = None) -> bool:
    """Whether no file system is mounted that cannot be encrypted in transit; else ``SPOT_CONNECT_EFS_TLS`` says it.

    Raises:
        UsageError: it is neither ``require`` nor ``prefer``.
    """
    word = choice or os.environ.get(EFS_TLS_VARIABLE, "")
    if not word:
        return False
    from spot_connect.core.values import efs_tls

    return efs_tls(word) == "require"


def standing_tags() -> dict[str, str]:
    """The tags that everything gets that is made: ``SPOT_CONNECT_TAGS``, ``key=value`` with commas between them.

    Raises:
        UsageError: one of them is none that a user may give.
    """
    text = os.environ.get(TAGS_VARIABLE, "")
    if not text:
        return {}
    from spot_connect.core.errors import UsageError
    from spot_connect.core.tags import listed_tags

    try:
        return listed_tags(text)
    except UsageError as error:
        raise UsageError(error.what, error.said, f"It is in {TAGS_VARIABLE}. {error.advice}") from error


def _chosen(choice: bool | None, variable: str) -> bool:
    if choice is not None:
        return choice
    word = os.environ.get(variable, "")
    if not word:
        return False
    from spot_connect.core.values import boolean

    return boolean(word)
