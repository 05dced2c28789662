"""Our program on the instance: sent once, asked over SSH."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from spot_connect.core.answers import answers, only_one
from spot_connect.core.errors import ScriptFailed, SshError
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection

_ABSENT = 97
_NO_PYTHON = 127
UNKNOWN = 66
"""The program knows no such run."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAIN = "import sys\nfrom spot_connect.crew.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
_SHARED = ("booting", "packages", "untrusted")
"""Of what can be decided without an instance, the modules that are needed on one, too."""
# What a user has installed on the instance must stay importable beside it.
_PACKAGE = "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n"


@lru_cache(maxsize=1)
def program() -> bytes:
    """The program as one file that Python runs: https://docs.python.org/3/library/zipapp.html."""
    texts = {"__main__.py": _MAIN, "spot_connect/__init__.py": _PACKAGE}
    for room in ("interruption", "crew"):
        for source in files(f"spot_connect.{room}").iterdir():
            if source.name.endswith(".py"):
                texts[f"spot_connect/{room}/{source.name}"] = source.read_text(encoding="utf-8")
    texts["spot_connect/core/__init__.py"] = _PACKAGE
    for name in _SHARED:
        texts[f"spot_connect/core/{name}.py"] = files("spot_connect.core").joinpath(f"{name}.py").read_text("utf-8")
    # For scripts that train with Keras; nothing else imports it.
    texts["spot_connect/keras_callback.py"] = files("spot_connect").joinpath("keras_callback.py").read_text("utf-8")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(texts):
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), texts[name], zipfile.ZIP_DEFLATED)
    return archive.getvalue()


Hear = Callable[[bytes], None]


class Agent:
    """The program on one instance, reached through ``connection``."""

    def __init__(self, connection: Connection, instance_id: str) -> None:
        self._connection = connection
        self._instance_id = instance_id

    def ask(self, verb: str, asked: Mapping[str, Any], stdin: bytes = b"") -> list[dict[str, Any]]:
        """The answers to ``verb``; empty when it has nothing to tell.

        Raises:
            ScriptFailed: the program failed; ``exit_status`` is ``UNKNOWN`` when there is no such run.
            SshLost: the line broke; the verb may have been done, and may be asked again.
            UnreadableAnswer: what it answers is no JSON.
        """
        return answers(self._run(verb, asked, stdin=stdin))

    def ask_one(self, verb: str, asked: Mapping[str, Any], stdin: bytes = b"") -> dict[str, Any]:
        """The one answer to ``verb``.

        Raises:
            UnreadableAnswer: there is none, or there are more; and all that ``ask`` raises.
        """
        return only_one(self.ask(verb, asked, stdin))

    def stream(self, verb: str, asked: Mapping[str, Any], show: Hear, show_errors: Hear | None = None) -> None:
        """Hand what ``verb`` writes to ``show`` as it comes, and its standard error to ``show_errors`` if given.

        Raises:
            SshLost: the line broke in between; and all that ``ask`` raises.
        """
        self._run(verb, asked, show=show, show_errors=show_errors)

    def _run(
        self,
        verb: str,
        asked: Mapping[str, Any],
        *,
        stdin: bytes = b"",
        show: Hear | None = None,
        show_errors: Hear | None = None,
    ) -> str:
        # Every user of the machine can read the arguments of every process.
        stdin = json.dumps({**asked, "instance": self._instance_id}).encode() + b"\n" + stdin
        for may_send in (True, False):
            done = run(
                *(self._connection, _call(verb)),
                stdin=stdin, on_stdout=show, on_stderr=show_errors, capture=show is None,
            )  # fmt: skip
            if not may_send or not self._lacks_program(done.exit_status):
                break
            self._send()
        if done.exit_status:
            raise self._failure(verb, done.exit_status, done.stderr.decode("utf-8", "replace").strip())
        return done.stdout.decode("utf-8", "replace")

    def _lacks_program(self, status: int) -> bool:
        """Whether a verb that ended with ``status`` was not done for want of the program, or of a part of it."""
        if status in (0, UNKNOWN, _NO_PYTHON):
            return False
        if status == _ABSENT:
            return True
        file = f"~/.spot-connect/{program_name()}"
        return run(self._connection, _IS_WHOLE.format(file=file, **_told())).exit_status != 0

    def _send(self) -> None:
        done = run(self._connection, _SEND.format(name=program_name(), **_told()), stdin=program())
        if done.exit_status:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise SshError(f"cannot put our program on {self._connection}", said, "Is the disk full?")

    def _failure(self, verb: str, status: int, said: str) -> ScriptFailed:
        advice = "Python 3.7 or later is needed on the instance." if status == _NO_PYTHON else ""
        last = said.splitlines()[-1] if said else ""
        return ScriptFailed(
            f"{verb!r} failed on {self._connection}" + (f": {last}" if last else ""), status, said, advice
        )


_IS_WHOLE = """[ "$(wc -c < {file})" -eq {size} ] && {{
    ! command -v sha256sum > /dev/null || [ "$(sha256sum < {file} | cut -c 1-64)" = {digest} ]; }}"""
# Where this side dies on the way, cat sees the end of its input as if that were all.
_SEND = f"""
umask 077 && mkdir -p ~/.spot-connect && cd ~/.spot-connect || exit
find . -maxdepth 1 -name 'agent-*.zip.*' -mmin +60 -exec rm -f {{{{}}}} +
cat > {{name}}.$$ && {_IS_WHOLE.replace("{file}", "{name}.$$")} && mv {{name}}.$$ {{name}} && exit
rm -f {{name}}.$$
exit 1
"""


def _told() -> dict[str, str]:
    return {"size": str(len(program())), "digest": program_hash()}


def program_name() -> str:
    """Its file's name, which another version does not have."""
    return f"agent-{program_hash()[:16]}.zip"


def program_hash() -> str:
    """Its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(program()).hexdigest()


def _call(verb: str) -> str:
    file = f"$HOME/.spot-connect/{program_name()}"
    return f'[ -s "{file}" ] || exit {_ABSENT}; exec python3 "{file}" {verb}'
