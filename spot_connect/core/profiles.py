"""Profiles: named settings for a launch, and the text file that users edit by hand."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from spot_connect.core import values
from spot_connect.core.errors import UnknownProfile, UsageError
from spot_connect.core.firewall import Rule, parse_rules
from spot_connect.core.images import DEFAULT_IMAGE_NAME, username_for

Settings = dict[str, Any]
"""What a profile holds in the file: the keys of ``KEYS``, values that are Python literals."""

HEADER = """\
# spot-connect profiles: one Python dictionary, profile name -> settings. Edit it freely, keep the quotes and commas.
#
# efs_mount         True: mount the file system given with -f. The command line's own default is True.
# firewall_ingress  None: only your own address may reach SSH. Else rules: [('tcp', 22, 22, '203.0.113.0/24'), ...].
# image_id          the machine image; it belongs to one Region. None: the newest one of that image_name is looked up.
# image_name        what the image is called; used to find its counterpart when the Region changes. Both None: Amazon
#                   Linux 2023.
# instance_type     the hardware; its processor (x86_64 or arm64) must be the image's.
# min_price         the Region's spot price in US dollars per hour when this file was made. For reading only.
# price             the most you would pay in US dollars per hour. The shipped figure is the on-demand price, the cap
#                   that AWS applies anyway, so that an old spot price never blocks a launch: you always pay the
#                   current spot price. None: no cap of your own.
# region            where instances are launched.
# scripts           scripts on this computer that run after every launch: ['setup.sh', ...].
# username          the login name of the image: ec2-user, ubuntu, ... None: what the image's name suggests.
"""

_USUAL_USER = "ec2-user"
_FILE_ADVICE = "Correct that line, or move the file away to go back to the shipped profiles."


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings of one profile, checked.

    An empty ``region`` means the default Region, an empty ``image_id`` the newest image of that ``image_name`` that
    fits the type, no ``firewall_ingress`` SSH from the caller's own address only. ``price`` and ``min_price`` are US
    dollars per hour; no ``price`` means no cap of one's own. One that ``is_movable`` is as it was shipped, so that
    nobody has chosen its Region.

    Example:
        >>> Profile.from_mapping("small", {"instance_type": "t3.small", "price": "0.02"}).price
        Decimal('0.02')
    """

    name: str
    instance_type: str
    region: str = ""
    image_id: str = ""
    image_name: str = ""
    username: str = ""
    price: Decimal | None = None
    min_price: Decimal | None = None
    efs_mount: bool = False
    firewall_ingress: tuple[Rule, ...] = ()
    scripts: tuple[str, ...] = ()
    is_movable: bool = field(default=False, compare=False)

    @classmethod
    def from_mapping(cls, name: str, mapping: Mapping[str, Any]) -> Profile:
        """The profile ``name`` from its settings; only ``instance_type`` has no default.

        Without an image it is Amazon Linux 2023, without a user name the one the image's name suggests.

        Raises:
            UsageError: an unknown key, a value of the wrong kind, or no instance type.
        """
        where = f"profile {name!r}"
        checked = {key: check_setting(where, key, value) for key, value in mapping.items()}
        if not checked.get("instance_type"):
            raise UsageError(f"{where} has no instance_type", advice="Add one, such as 'instance_type': 't3.micro'.")
        if not checked.get("image_id") and not checked.get("image_name"):
            checked["image_name"] = DEFAULT_IMAGE_NAME
        checked["username"] = checked.get("username") or username_for(checked.get("image_name", "")) or _USUAL_USER
        return cls(name, **checked)

    def to_mapping(self) -> Settings:
        """The settings as the file holds them; ``from_mapping`` gives the same profile back."""
        rules = [(rule.protocol, rule.first, rule.last, rule.cidr) for rule in self.firewall_ingress]
        return {
            "efs_mount": self.efs_mount,
            "firewall_ingress": rules or None,
            "image_id": self.image_id or None,
            "image_name": self.image_name or None,
            "instance_type": self.instance_type,
            "min_price": None if self.min_price is None else f"{self.min_price:f}",
            "price": None if self.price is None else f"{self.price:f}",
            "region": self.region or None,
            "scripts": list(self.scripts),
            "username": self.username or None,
        }


@dataclass(frozen=True, slots=True)
class Outline:
    """A profile file that is well formed: its names are known, the settings are read one profile at a time."""

    source: str
    root: ast.Dict
    entries: Mapping[str, ast.Dict]

    def settings(self, name: str) -> Settings:
        """The settings of one profile, as written.

        Raises:
            KeyError: there is no such profile.
            UsageError: an unknown or repeated key or a wrong value; the error names the file and the line.
        """
        found: Settings = {}
        for key, node in _pairs(self.entries[name], self.source):
            if key in found:
                raise _broken(self.source, node.lineno, f"profile {name!r} has {key!r} twice")
            found[key] = self._value(name, key, node)
        if not found.get("instance_type"):
            raise _broken(self.source, self.entries[name].lineno, f"profile {name!r} has no instance_type")
        return found

    def _value(self, name: str, key: str, node: ast.expr) -> Any:
        value = _literal(node, self.source)
        try:
            check_setting(f"profile {name!r}", key, value)
        except UsageError as error:
            raise _broken(self.source, node.lineno, str(error)) from error
        except ValueError as error:
            # Python writes out no number of thousands of digits, not even to say what is wrong with it.
            raise _broken(self.source, node.lineno, f"profile {name!r}, {key}: a number is too long") from error
        return value


def outline(text: str, source: str) -> Outline:
    """The names in a profile file and where their settings stand; the settings themselves are not checked yet.

    Raises:
        UsageError: not one Python dictionary of dictionaries, or a name twice; the error names ``source`` and the line.

    Example:
        >>> list(outline("{'small': {'instance_type': 't3.small'}}", "profiles.txt").entries)
        ['small']
    """
    root = _parse(text, source)
    if not isinstance(root, ast.Dict):
        raise _broken(source, root.lineno, "the file is not a dictionary {'name': {...}, ...}")
    entries: dict[str, ast.Dict] = {}
    for name, node in _pairs(root, source):
        if name in entries:
            raise _broken(source, node.lineno, f"profile {name!r} is there twice, first in line {entries[name].lineno}")
        if not isinstance(node, ast.Dict):
            raise _broken(source, node.lineno, f"profile {name!r} is not a dictionary of settings")
        entries[name] = node
    return Outline(source, root, entries)


def parse_profiles(text: str, source: str) -> dict[str, Settings]:
    """Every profile in the text of a profile file, as written, once all of them are known to be valid.

    Args:
        text: one Python dictionary, profile name to settings.
        source: the file's name for error messages.

    Raises:
        UsageError: a broken edit; the error names ``source`` and the line.

    Example:
        >>> parse_profiles("{'small': {'instance_type': 't3.small'}}", "profiles.txt")
        {'small': {'instance_type': 't3.small'}}
    """
    found = outline(text, source)
    return {name: found.settings(name) for name in found.entries}


def parse_one(text: str, source: str, name: str) -> Settings:
    """The settings of one profile; reads no more of the text than it must.

    In a file as ``format_profiles`` lays it out only the wanted block is parsed, in a millisecond where the whole
    file takes a hundred. A mistake in another profile is then not noticed, nor does it matter.

    Raises:
        UnknownProfile: there is no such profile; the error has the nearest names.
        UsageError: a broken edit; the error names ``source`` and the line.
    """
    block = _block(text, name)
    if block is not None:
        try:
            found = outline(block, source)
        except UsageError:
            # An edit ran past the end of the block; only the whole file shows where it began.
            found = outline(text, source)
    else:
        found = outline(text, source)
    if name not in found.entries:
        raise unknown_profile(name, found.entries)
    return found.settings(name)


def format_profiles(profiles: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a profile file: a comment on every key, then one block per profile.

    Raises:
        UsageError: a profile that could not be read back.

    Example:
        >>> text = format_profiles({"small": {"instance_type": "t3.small"}})
        >>> parse_profiles(text, "profiles.txt")
        {'small': {'instance_type': 't3.small'}}
    """
    blocks = [format_block(name, settings) for name, settings in profiles.items()]
    return "".join([HEADER, "{\n", *blocks, "}\n"])


def format_block(name: str, settings: Mapping[str, Any]) -> str:
    """The lines of one profile in a profile file.

    Raises:
        UsageError: the profile could not be read back.
    """
    plain = plain_settings(settings)
    Profile.from_mapping(name, plain)
    lines = "".join(f"        {key!r}: {value!r},\n" for key, value in sorted(plain.items()))
    return f"    {name!r}: {{\n{lines}    }},\n"


def plain_settings(settings: Mapping[str, Any]) -> Settings:
    """The settings with nothing in them but Python literals: prices as text, rules as tuples."""
    return {key: _plain(value) for key, value in settings.items()}


def usual_region(text: str) -> str:
    """The Region that most profiles in the text of a file are for; empty when none has one.

    Read without parsing: a mistake somewhere in the file does not matter, nor does its size.

    Example:
        >>> usual_region("{'small': {'instance_type': 't3.small', 'region': 'eu-west-1'}}")
        'eu-west-1'
    """
    found = Counter(re.findall(r"""['"]region['"]\s*:\s*['"]([a-z0-9-]+)['"]""", text))
    return found.most_common(1)[0][0] if found else ""


def nearest(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Up to three of ``names`` that look most like ``name``, the likeliest first.

    Example:
        >>> nearest("t2.mirco", ["t2.micro", "m5.large"])
        ('t2.micro',)
    """
    import difflib

    return tuple(difflib.get_close_matches(name, list(names), n=3))


def unknown_profile(name: str, names: Iterable[str]) -> UnknownProfile:
    """The error for a profile that does not exist, with the nearest names that do."""
    close = nearest(name, names)
    advice = f"Did you mean {' or '.join(close)}?" if close else "List them with spot_connect.sutils.load_profiles()."
    return UnknownProfile(f"there is no profile {name!r}", advice=advice)


def check_setting(where: str, key: str, value: Any) -> Any:
    """The value of one setting in its checked form, as ``Profile`` holds it.

    Args:
        where: whose setting it is, for error messages.
        key: one of ``KEYS``.
        value: what the file or the caller gave.

    Raises:
        UsageError: the key is unknown, or the value is of the wrong kind.

    Example:
        >>> check_setting("profile 'small'", "scripts", ["a.sh"])
        ('a.sh',)
    """
    check = _CHECKS.get(key)
    if check is None:
        close = nearest(str(key), KEYS)
        advice = f"Did you mean {close[0]!r}?" if close else f"The keys are {', '.join(KEYS)}."
        raise UsageError(f"{where} has an unknown key {key!r}", advice=advice)
    try:
        return check(value)
    except UsageError as error:
        raise UsageError(f"{where}, {key}: {error.what}", error.said, error.advice) from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not text", advice="Put it in quotes.")
    if not value.isprintable():
        raise UsageError(f"{value!r} has a control character", advice="Write a backslash twice, or a slash instead.")
    return value.strip()


def _username(value: Any) -> str:
    text = _text(value)
    return values.username(text) if text else ""


def _flag(value: Any) -> bool:
    if isinstance(value, (str, bool)):
        return values.boolean(value)
    raise UsageError(f"{value!r} is not True or False")


def _price(value: Any) -> Decimal | None:
    return None if value is None or value == "" else values.price(_number(value))


def _figure(value: Any) -> Decimal | None:
    # Spot prices go below what EC2 accepts as a cap, so this is looser than a price.
    if value is None or value == "":
        return None
    try:
        figure = Decimal(str(_number(value)).strip())
    except InvalidOperation:
        figure = Decimal("NaN")
    if not values.is_figure(figure) or figure < 0:
        raise UsageError(f"{value!r} is not a price", advice="Give US dollars per hour, for example '0.0031'.")
    return figure


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise UsageError(f"{value!r} is not a price", advice="Give US dollars per hour, for example '0.05'.")
    return value


def _scripts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in items):
        raise UsageError(f"{value!r} is not a list of script paths", advice="Write ['first.sh', 'second.sh'].")
    return tuple(_text(item) for item in items)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "efs_mount": _flag,
    "firewall_ingress": parse_rules,
    "image_id": _text,
    "image_name": _text,
    "instance_type": _text,
    "min_price": _figure,
    "price": _price,
    "region": _text,
    "scripts": _scripts,
    "username": _username,
}
KEYS = tuple(_CHECKS)


def _parse(text: str, source: str) -> ast.expr:
    if not text.strip():
        raise _broken(source, 1, "the file is empty")
    try:
        with warnings.catch_warnings():
            # A stray backslash only warns; where it has changed the text, the value's own check refuses it.
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        hint = "; a comma or a quote may be missing here or in the line before" if error.msg == "invalid syntax" else ""
        raise _broken(source, error.lineno or 1, error.msg + hint) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _broken(source, 1, str(error) or "nested too deeply") from error


def _pairs(node: ast.Dict, source: str) -> Iterator[tuple[str, ast.expr]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value):
            raise _broken(source, (key or value).lineno, "a name in quotes is missing before the colon")
        yield key.value, value


def _literal(node: ast.expr, source: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        inner = next((part for part in ast.walk(node) if isinstance(part, _NOT_LITERAL)), node)
        said = f"{ast.unparse(inner)} is not a plain value; text needs quotes"
        raise _broken(source, inner.lineno, said) from error


_NOT_LITERAL = (ast.Name, ast.Call, ast.Attribute, ast.BinOp, ast.JoinedStr, ast.Starred, ast.Lambda, ast.Subscript)


def _broken(source: str, line: int, said: str) -> UsageError:
    return UsageError(f"cannot read {source}, line {line}", said, _FILE_ADVICE)


def _block(text: str, name: str) -> str | None:
    """The dictionary with only the wanted profile, on its own lines; ``None`` unless it is plain where it is."""
    # The pattern starts with a literal, which the search is fast for; the opening quote is looked at afterwards.
    found = [match.start() - 1 for match in re.finditer(rf"""{re.escape(name)}['"]\s*:\s*\{{""", text)]
    starts = [start for start in found if start >= 0 and text[start] in "'\""]
    if len(starts) != 1:
        return None
    start = starts[0]
    end = text.find("\n    }", start)
    if end < 0 or text[max(start - 5, 0) : start] != "\n    ":
        return None
    return "\n" * text.count("\n", 0, start) + "{" + text[start:end] + "}}"


def _plain(value: Any) -> Any:
    """The value with nothing in it but literals."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Rule):
        return (value.protocol, value.first, value.last, value.cidr)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
