"""What OpenSSH has to know to reach a machine by its name, as ssh_config(5) writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PATTERN_SIGNS = frozenset('*?!"')


@dataclass(frozen=True, slots=True)
class SshAlias:
    """A machine for OpenSSH: ``known_hosts`` holds its host key under its instance id, and no other key will do."""

    name: str
    instance_id: str
    host: str
    port: int
    username: str
    key: Path
    known_hosts: Path


def can_be_alias(name: str) -> bool:
    """Whether ``ssh`` can be told this name; in a ``Host`` line some signs stand for others.

    Example:
        >>> can_be_alias("my vm"), can_be_alias("vm*")
        (True, False)
    """
    return not _PATTERN_SIGNS.intersection(name)


def host_block(alias: SshAlias) -> str:
    """The block that makes ``ssh NAME`` reach the machine, and refuse any other that answers at its address.

    Example:
        >>> where = Path("/k")
        >>> print(host_block(SshAlias("vm1", "i-1", "203.0.113.7", 22, "ubuntu", where / "a.pem", where / "known")))
        Host "vm1"
            HostName 203.0.113.7
            Port 22
            User ubuntu
            IdentityFile "/k/a.pem"
            IdentitiesOnly yes
            HostKeyAlias i-1
            UserKnownHostsFile "/k/known"
            GlobalKnownHostsFile none
            StrictHostKeyChecking yes
            CheckHostIP no
        <BLANKLINE>
    """
    return f"""\
Host "{alias.name}"
    HostName {alias.host}
    Port {alias.port}
    User {alias.username}
    IdentityFile {_quoted(alias.key)}
    IdentitiesOnly yes
    HostKeyAlias {alias.instance_id}
    UserKnownHostsFile {_quoted(alias.known_hosts)}
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    CheckHostIP no
"""


def include_lines(files: str) -> str:
    """What a user adds to ``~/.ssh/config`` once; the first line ends whatever block stands before it.

    Example:
        >>> print(include_lines("/home/me/.spot_connect/ssh/*.conf"))
        Match all
        Include "/home/me/.spot_connect/ssh/*.conf"
    """
    return f'Match all\nInclude "{files}"'


def _quoted(path: Path) -> str:
    # A percent sign begins a token there.
    return '"' + path.as_posix().replace("%", "%%") + '"'
