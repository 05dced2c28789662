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


def alias_of(block: str) -> SshAlias | None:
    """The machine that a block of ``host_block`` leads to; none if it is not such a block.

    Example:
        >>> where = Path("/100%/k")
        >>> alias = SshAlias("vm1", "i-1", "203.0.113.7", 22, "ubuntu", where / "a.pem", where / "known")
        >>> alias_of(host_block(alias)) == alias
        True
    """
    said = dict(line.strip().partition(" ")[::2] for line in block.splitlines())
    try:
        return SshAlias(
            name=said["Host"].strip('"'),
            instance_id=said["HostKeyAlias"],
            host=said["HostName"],
            port=int(said["Port"]),
            username=said["User"],
            key=_unquoted(said["IdentityFile"]),
            known_hosts=_unquoted(said["UserKnownHostsFile"]),
        )
    except (KeyError, ValueError):
        return None


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


def _unquoted(text: str) -> Path:
    return Path(text.strip('"').replace("%%", "%"))
