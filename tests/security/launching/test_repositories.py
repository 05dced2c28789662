"""A real git server that asks for a login, and an instance that is told it as secretly as can be."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spot_connect.core.errors import ScriptFailed
from spot_connect.spotted import SpotInstance

USER, SECRET = "me", "t0ken/of @mine%"
ENCODED = "t0ken%2Fof%20%40mine%25"
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


class GitServer(ThreadingHTTPServer):
    """``git http-backend`` behind HTTP's basic authentication, on loopback."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.place = f"127.0.0.1:{self.server_address[1]}"
        self.logins: list[str] = []
        self.arguments: list[str] = []

    def look_around(self) -> None:
        """What everybody on this computer can read of its processes now."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.arguments.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        self._answer(self.rfile.read(size))

    def _answer(self, body: bytes) -> None:
        self.server.look_around()
        login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        self.server.logins.append(login)
        if login != f"{USER}:{SECRET}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": USER,
        }
        done = subprocess.run(["git", "http-backend"], env=environment, input=body, stdout=subprocess.PIPE, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def git(place, *words):
    subprocess.run(
        ["git", "-C", str(place), "-c", "user.name=t", "-c", "user.email=t@example.com", *words],
        check=True,
        capture_output=True,
    )


def commit(place, text):
    (place / "file").write_text(text)
    git(place, "add", "file")
    git(place, "commit", "-m", text)


@pytest.fixture
def server(tmp_path):
    origin = tmp_path / "a.git"
    origin.mkdir()
    git(origin, "init", "-b", "main")
    commit(origin, "one")
    server = GitServer(tmp_path)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def vm(reached, heard):
    with SpotInstance(reached.instance.name, local=True, reporter=heard) as vm:
        yield vm


def said(vm, command):
    return vm.run(command, cmd=True, return_output=True)


def test_a_clone_tells_the_login_to_the_server_and_to_nobody_else(vm, server, capfd):
    vm.clone_repo(f"http://{USER}:{ENCODED}@{server.place}/a.git", "a")
    assert said(vm, "cat a/file") == "one"
    assert f"{USER}:{SECRET}" in server.logins
    seen = "\n".join(server.arguments)
    assert "clone" in seen
    assert "credential" in seen
    for secret in (SECRET, ENCODED):
        assert secret not in seen
        assert secret not in said(vm, "cat a/.git/config; cat ~/.git-credentials 2>/dev/null; ls -A")
        assert secret not in "".join(capfd.readouterr())
    assert said(vm, "git -C a remote get-url origin").strip() == f"http://{server.place}/a.git"


def test_an_update_takes_the_login_again_and_keeps_it_nowhere(vm, server):
    link = f"http://{USER}:{ENCODED}@{server.place}/a.git"
    vm.clone_repo(link, "b")
    commit(server.root / "a.git", "two")
    server.arguments.clear()
    vm.update_repo("b", "main", link)
    assert said(vm, "cat b/file") == "two"
    seen = "\n".join(server.arguments)
    assert "fetch" in seen
    assert SECRET not in seen
    assert ENCODED not in seen
    assert SECRET not in said(vm, "cat b/.git/config")


def test_a_helper_that_keeps_passwords_is_not_told(vm, server):
    said(vm, "git config --global credential.helper store")
    vm.clone_repo(f"http://{USER}:{ENCODED}@{server.place}/a.git", "kept")
    assert said(vm, "cat ~/.git-credentials 2>/dev/null || echo none") == "none\n"


def test_another_server_is_not_told_the_login(vm, server, tmp_path):
    place = server.place.replace("127.0.0.1", "localhost")
    said(vm, f"git config --global url.http://{place}/.insteadOf http://{server.place}/")
    with pytest.raises(ScriptFailed):
        vm.clone_repo(f"http://{USER}:{ENCODED}@{server.place}/a.git", "elsewhere")
    assert set(server.logins) == {""}
    said(vm, "git config --global --unset-all url.http://" + place + "/.insteadOf")


def test_a_wrong_login_is_an_error_that_does_not_show_it(vm, server, capfd):
    with pytest.raises(ScriptFailed, match=r"cannot clone http://\*\*\*@") as caught:
        vm.clone_repo(f"http://{USER}:wr0ng@{server.place}/a.git", "c")
    assert "wr0ng" not in f"{caught.value!r} {caught.value.__cause__!r} {''.join(capfd.readouterr())}"
    assert caught.value.exit_status == 128
