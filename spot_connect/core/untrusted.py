"""What comes from the other side: instances, their files, tags, consoles and banners. None of it is trusted.

Everything goes through one of these functions: :func:`printable` before text reaches a screen, :func:`file_name_part`
before a name becomes a part of a path here, and :func:`login_name`, :func:`host` and :func:`port` before a connection
is made of what a tag says.
"""

from __future__ import annotations

_LOGIN_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_LOGIN = _LOGIN_FIRST | frozenset("0123456789.-")
_LONGEST_LOGIN = 32
"""useradd(8) takes no longer one."""
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:")
_LONGEST_HOST = 253
"""RFC 1035, section 2.3.4, less the length bytes at both ends."""
_LONGEST_PART = 255
"""NAME_MAX of Linux, macOS and the BSDs, and what NTFS takes."""
_DEVICES = frozenset(
    {b"CON", b"PRN", b"AUX", b"NUL", *(b"%s%d" % (port, n) for port in (b"COM", b"LPT") for n in range(10))}
)
"""What Windows opens as a device in whatever directory it is named, with any suffix."""


class Refused(ValueError):
    """Something from the other side is not what it may be; the text says which, and why, and is fit to show."""


def printable(text: str) -> str:
    r"""``text`` in one line that is fit to show: what is not printable is written as Python would write it.

    Control characters could move the cursor or give the terminal commands (ECMA-48), line ends could fake a further
    line, and Unicode's bidirectional formatting (UAX 9) could show another text than the one that is there.

    Example:
        >>> printable("vm1\n\x1b]0;x\x07\u202e")
        'vm1\\n\\x1b]0;x\\x07\\u202e'
        >>> printable("Zürich 東京")
        'Zürich 東京'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def file_name_part(name: bytes, separators: bytes = b"/") -> bytes:
    r"""``name`` as one component of a path (POSIX calls it a filename): it leads to an entry of its directory alone.

    Args:
        name: what the other side calls a file.
        separators: the bytes that separate components on this system.

    Raises:
        Refused: it is empty, ``.`` or ``..``, longer than a file system takes, or has a separator or a NUL in it; or,
            where a backslash separates, it is a device of Windows, or another name once Windows has cut its end.

    Example:
        >>> file_name_part(b"model.h5")
        b'model.h5'
        >>> file_name_part(b"../x")
        Traceback (most recent call last):
        ...
        spot_connect.core.untrusted.Refused: the name '../x' has a '/' in it
    """
    if name in (b"", b".", b".."):
        raise Refused(f"the name {_shown(name)} is no name of a file")
    for letter in separators + b"\0":
        if letter in name:
            raise Refused(f"the name {_shown(name)} has a {_shown(bytes([letter]))} in it")
    if len(name) > _LONGEST_PART:
        raise Refused(f"the name {_shown(name)}… has more than {_LONGEST_PART} bytes")
    if b"\\" in separators:
        if name[-1:] in (b".", b" "):
            raise Refused(f"the name {_shown(name)} ends in a {_shown(name[-1:])}, which Windows leaves out")
        if name.partition(b".")[0].rstrip().upper() in _DEVICES:
            raise Refused(f"the name {_shown(name)} is a device of Windows")
    return name


def login_name(text: str) -> str:
    """``text`` as the name of a login user, with the letters that ``useradd`` and OpenSSH take.

    Raises:
        Refused: it has another letter, or too many.

    Example:
        >>> login_name("ec2-user")
        'ec2-user'
    """
    if not 0 < len(text) <= _LONGEST_LOGIN or text[0] not in _LOGIN_FIRST or not _LOGIN.issuperset(text):
        raise Refused(f"{text[:100]!a} is not a login name")
    return text


def host(text: str) -> str:
    """``text`` as a host: a name, or an IPv4 or IPv6 address, with the letters that these have.

    Raises:
        Refused: it has another letter, or too many.

    Example:
        >>> host("ec2-203-0-113-7.compute-1.amazonaws.com")
        'ec2-203-0-113-7.compute-1.amazonaws.com'
    """
    if not 0 < len(text) <= _LONGEST_HOST or text[0] == "-" or not _HOST.issuperset(text):
        raise Refused(f"{text[:100]!a} is not a host")
    return text


def port(text: str) -> int:
    """``text`` as a TCP port.

    Raises:
        Refused: it is not a whole number from 1 to 65535.

    Example:
        >>> port("22")
        22
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise Refused(f"{text[:100]!a} is not a port")
    return int(text)


def _shown(name: bytes) -> str:
    return repr(printable(name[:100].decode("utf-8", "surrogateescape"))).replace("\\\\", "\\")
