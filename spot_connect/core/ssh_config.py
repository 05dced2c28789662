"""What OpenSSH has to know to reach a machine by its name, as ssh_config(5) writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spot_connect.core.errors import UsageError
from spot_connect.core.names import instance_name
from spot_connect.core.untrusted import Refused, host, login_name, port

_PATTERN_SIGNS = frozenset("*?!")
_ID = re.compile(r"i-[0-9a-f]{1,17}")
# Between quotes only these mean something: a line end, an end of the quotes, a sign that takes the meaning of the next
# one (since OpenSSH 8.7), and a variable of the environment. A percent sign can be written twice.
_UNQUOTABLE = ('"', "\\", "${")


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
    try:
        return not _PATTERN_SIGNS.intersection(instance_name(name))
    except UsageError:
        return False


def host_block(alias: SshAlias) -> str:
    """The block that makes ``ssh NAME`` reach the machine, and refuse any other that answers at its address.

    All that is in it was checked where it came from. It is checked again, because a line more in this file could be
    one that runs a command, whatever host is asked for.

    Raises:
        Refused: something in it would not be taken for what it is, or for more.

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
    if not can_be_alias(alias.name):
        raise Refused(f"{alias.name[:100]!a} cannot be the name of a host for OpenSSH")
    if not _ID.fullmatch(alias.instance_id):
        raise Refused(f"{alias.instance_id[:100]!a} is not an instance id")
    return f"""\
Host "{alias.name}"
    HostName {host(alias.host)}
    Port {port(str(alias.port))}
    User {login_name(alias.username)}
    IdentityFile {_quoted(alias.key)}
    IdentitiesOnly yes
    HostKeyAlias {alias.instance_id}
    UserKnownHostsFile {_quoted(alias.known_hosts)}
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    CheckHostIP no
"""


def alias_of(block: str) -> SshAlias | None:
    """The machine that a block of ``host_block`` leads to; none if it is not such a block, to the letter.

    Example:
        >>> where = Path("/100%/k")
        >>> alias = SshAlias("vm1", "i-1", "203.0.113.7", 22, "ubuntu", where / "a.pem", where / "known")
        >>> alias_of(host_block(alias)) == alias
        True
    """
    said = dict(line.strip().partition(" ")[::2] for line in block.splitlines())
    try:
        alias = SshAlias(
            name=said["Host"].strip('"'),
            instance_id=said["HostKeyAlias"],
            host=said["HostName"],
            port=int(said["Port"]),
            username=said["User"],
            key=_unquoted(said["IdentityFile"]),
            known_hosts=_unquoted(said["UserKnownHostsFile"]),
        )
        return alias if host_block(alias) == block else None
    except (KeyError, ValueError):
        return None


def include_lines(files: str) -> str:
    """What a user adds to ``~/.ssh/config`` once; the first line ends whatever block stands before it.

    Raises:
        Refused: OpenSSH could not be told of files below this directory.

    Example:
        >>> print(include_lines("/home/me/.spot_connect/ssh/*.conf"))
        Match all
        Include "/home/me/.spot_connect/ssh/*.conf"
    """
    return f"Match all\nInclude {_in_quotes(files)}"


def _quoted(path: Path) -> str:
    # A percent sign begins a token there.
    return _in_quotes(path.as_posix().replace("%", "%%"))


def _in_quotes(path: str) -> str:
    if not path.isprintable() or any(sign in path for sign in _UNQUOTABLE):
        raise Refused(f"{path!a} cannot be the path of a file for OpenSSH")
    return f'"{path}"'


def _unquoted(text: str) -> Path:
    return Path(text.strip('"').replace("%%", "%"))
