"""Text of the small scripts we run on an instance; every value is quoted for the remote shell."""

from __future__ import annotations

import shlex

from spot_connect.core import packages
from spot_connect.core.errors import UsageError
from spot_connect.core.repositories import Repository

_NEED_GIT = """\
if ! command -v git >/dev/null; then
{installer}spot_install git git git
fi
"""

# Arguments can be read by everybody on the instance, a process' environment by its own user alone.
_READ_LOGIN = """\
IFS= read -r SPOT_CONNECT_GIT_USER
IFS= read -r SPOT_CONNECT_GIT_PASSWORD
export SPOT_CONNECT_GIT_USER SPOT_CONNECT_GIT_PASSWORD
"""
_HELPER = {
    "username": """login() { test "$1" = get && printf 'username=%s\\n' "$SPOT_CONNECT_GIT_USER"; }; login""",
    "username password": """login() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' \
"$SPOT_CONNECT_GIT_USER" "$SPOT_CONNECT_GIT_PASSWORD"; }; login""",
}
"""Of git: https://git-scm.com/docs/gitcredentials"""

NFS_OPTIONS = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"
"""What AWS recommends for EFS (EFS User Guide, "Recommended NFS mount settings")."""

ENCRYPTED = "encrypted in transit"
"""What a mount script prints when the line to the file system is encrypted."""

# A user's PATH lacks the directories of mount.nfs4 on Debian.
_MOUNT_HEAD = """\
(
export PATH="$PATH:/usr/sbin:/sbin"
efs_source={source}
efs_directory={directory}
case $efs_directory in /*) ;; *) efs_directory=$HOME/$efs_directory ;; esac
efs_fail() {{ echo "cannot mount $efs_source at $efs_directory: $1" >&2; exit 1; }}
"""
_MOUNTED_ALREADY = """\
mountpoint -q "$efs_directory" && exit 0
"""
# The mount helper of EFS has the kernel mount from a program on the instance itself, which encrypts.
_ENCRYPTED_ALREADY = """\
efs_is_encrypted() { findmnt -nro SOURCE -M "$efs_directory" | grep -q '^127[.]0[.]0[.]1:'; }
if mountpoint -q "$efs_directory"; then
  efs_is_encrypted && exit 0
  efs_fail "something is mounted there already, and not encrypted in transit; unmount it first"
fi
"""
_MOUNT_CLIENT = """\
command -v mount.nfs4 >/dev/null || efs_words=$(spot_install nfs-common nfs-utils nfs-client 2>&1) || \
  efs_fail "the NFS client could not be installed: ${efs_words##*: }"
"""
_MOUNT_DIRECTORY = """\
mkdir -p "$efs_directory" 2>/dev/null || sudo mkdir -p "$efs_directory" || efs_fail "there is no such directory"
"""
_MOUNT_TLS = """\
efs_tls() {{
  if ! command -v mount.efs && grep -q '^ID="*amzn' /etc/os-release; then
    spot_install '' amazon-efs-utils ''
  fi
  if ! command -v mount.efs; then
    echo "there is no efs-utils, which outside Amazon Linux has to be compiled" >&2
    return 1
  fi
  sudo mount -t efs -o tls,mounttargetip={address} {file_system}:/ "$efs_directory"
}}
"""
_MOUNT_BEST = f"""\
efs_tls >/dev/null 2>&1 && echo "{ENCRYPTED}" || echo "not {ENCRYPTED}"
"""
_MOUNT_ENCRYPTED = f"""\
efs_words=$(efs_tls 2>&1 >/dev/null) || efs_fail "it cannot be {ENCRYPTED}: ${{efs_words##*$'\\n'}}"
efs_is_encrypted || {{ sudo umount "$efs_directory"; efs_fail "it would not be {ENCRYPTED}"; }}
echo "{ENCRYPTED}"
"""
# The name of a file system that was just made takes a minute or two to be known to DNS.
_MOUNT_ITSELF = """\
for efs_try in 1 2 3 4 5 6; do
  sudo mount -t nfs4 -o {options} "$efs_source" "$efs_directory" && break
  [ "$efs_try" = 6 ] && efs_fail "mount failed; is port 2049 open between the instance and the file system?"
  sleep 10
done
"""
# The root of a new file system belongs to root alone. Root itself mounts on behalf of whoever owns the home.
_MOUNT_RIGHTS = """\
efs_owner=$(id -u):$(id -g)
[ "$(id -u)" = 0 ] && efs_owner=$(stat -L -c %u:%g "$(dirname "$efs_directory")")
if [ "$(stat -L -c %u "$efs_directory")" = 0 ]; then
  sudo chown "$efs_owner" "$efs_directory" || efs_fail "it could not be given to $efs_owner"
elif [ ! -w "$efs_directory" ]; then
  sudo chmod a+rwx "$efs_directory" || efs_fail "it cannot be written"
fi
)
"""


def one_line(what: str, value: str) -> str:
    """``value``, which will be a word of a remote command.

    Raises:
        UsageError: it is empty, or has a line break or a NUL, which no remote command needs in a word.
    """
    if not value or set(value) & set("\0\r\n"):
        raise UsageError(f"{value!r} cannot be {what}", "it is empty or has more than one line")
    return value


def mount_efs(
    source: str,
    directory: str = "~/efs",
    *,
    file_system_id: str = "",
    must_encrypt: bool = False,
    in_user_data: bool = False,
) -> str:
    """Bash that mounts an EFS file system over NFS, in a subshell whose status is 0 when it is mounted.

    It does nothing where something is mounted already, installs the NFS client where the image lacks it, and lets
    the login user write. Takes up to 10 minutes when the instance is still booting.
    https://docs.aws.amazon.com/efs/latest/ug/mounting-fs-mount-cmd-general.html

    Args:
        source: address or DNS name of the mount target, without ``:/``.
        directory: where to mount; ``~`` is the home of whoever runs it, a relative path is below that home.
        file_system_id: encrypt in transit, through efs-utils, where the image has it or one command installs it; the
            script says :data:`ENCRYPTED`, or "not" and that. ``source`` must be an address.
        must_encrypt: fail where it cannot be encrypted in transit, also where something is mounted without. It needs
            ``file_system_id``.
        in_user_data: it runs while cloud-init does, for which it must then not wait.

    Raises:
        UsageError: an argument is empty or has several lines.

    Example:
        >>> "sudo mount -t nfs4 -o nfsvers=4.1" in mount_efs("10.0.0.5")
        True
    """
    host = one_line("a mount target", source).removesuffix(":/")
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    where = remote_path(one_line("a directory to mount at", directory))
    head = _MOUNT_HEAD.format(source=shlex.quote(f"{host}:/"), directory=where)
    if must_encrypt:
        begin, how = _ENCRYPTED_ALREADY, _tls(source, file_system_id) + _MOUNT_ENCRYPTED
    else:
        itself = _MOUNT_ITSELF.format(options=NFS_OPTIONS)
        plain = f'if ! mountpoint -q "$efs_directory"; then\n{_MOUNT_CLIENT}{itself}fi\n'
        begin, how = _MOUNTED_ALREADY, (_tls(source, file_system_id) + _MOUNT_BEST if file_system_id else "") + plain
    return head + packages.installer(in_user_data=in_user_data) + begin + _MOUNT_DIRECTORY + how + _MOUNT_RIGHTS


def _tls(address: str, file_system_id: str) -> str:
    return _MOUNT_TLS.format(
        address=shlex.quote(address), file_system=shlex.quote(one_line("a file system", file_system_id))
    )


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


def clone_repo(repository: Repository, directory: str, *, in_user_data: bool = False) -> str:
    """Clone into ``directory`` on the instance, installing git where the image lacks it.

    ``in_user_data`` says that it runs while cloud-init does, for which it must then not wait. What is secret stands
    neither in the text nor in the clone: the script reads ``repository.login`` from its input.

    Example:
        >>> clone_repo(Repository("https://example.com/a.git"), "a").splitlines()[-1]
        'git clone -- https://example.com/a.git a'
    """
    head, git = _git(repository, in_user_data=in_user_data)
    return f"{head}{git} clone -- {shlex.quote(repository.link)} {remote_path(directory)}\n"


def update_repo(
    directory: str, branch: str | None = None, repository: Repository | None = None, *, in_user_data: bool = False
) -> str:
    """Bring the clone in ``directory`` up to date, on ``branch`` and from ``repository`` where they are given.

    Example:
        >>> print(update_repo("a", branch="main").splitlines()[-1])
        git pull --ff-only
    """
    head, git = _git(repository, in_user_data=in_user_data)
    lines = [f"{head}cd -- {remote_path(directory)}"]
    if repository:
        lines.append(f"git remote set-url origin {shlex.quote(repository.link)}")
    lines.append(f"{git} fetch --prune origin")
    if branch:
        lines.append(f"git checkout {shlex.quote(branch)}")
    lines.append(f"{git} pull --ff-only")
    return "\n".join(lines) + "\n"


def _git(repository: Repository | None, *, in_user_data: bool) -> tuple[str, str]:
    """What has to come first, and what git is called then."""
    need = _NEED_GIT.format(installer=packages.installer(in_user_data=in_user_data))
    if repository is None or not repository.has_login:
        return f"set -e\n{need}", "git"
    key = f"credential.{repository.site}.helper"
    told = "username" if repository.password is None else "username password"
    # Where there is a password no other helper is to hear it and to keep it.
    forget = "" if repository.password is None else f"-c {shlex.quote(f'{key}=')} "
    helper = shlex.quote(f"{key}=!{_HELPER[told]}")
    return f"set -e\n{_READ_LOGIN}{need}", f"git {forget}-c {helper}"
