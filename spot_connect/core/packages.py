"""Shell text that installs packages on an instance, with whatever package manager is there; the one place for it.

An instance that has just booted has no package lists yet, and its own updates hold apt's locks for minutes. This also
runs on instances themselves, so it is written for Python 3.7 and imports nothing of ours.
"""

from __future__ import annotations

import shlex

# A package's questions have nobody to answer them, and its restarts would end what the user has running.
# https://manpages.debian.org/bookworm/apt/apt-get.8.en.html, needrestart(1)
_FUNCTIONS = r"""spot_as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
spot_quietly() {
  spot_as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 \
    ZYPP_LOCK_TIMEOUT=20 "$@" 2>&1 >/dev/null </dev/null
}
spot_patiently() {
  spot_most=$1
  spot_try=0
  shift
  until spot_said=$(spot_quietly "$@"); do
    spot_try=$((spot_try + 1))
    case $spot_said in
      *"E: Could not get lock"* | *"E: Unable to acquire"* | *"E: Unable to lock"* | *"transaction lock"* | \
        *"is locked by"*) [ "$spot_try" -lt 20 ] ;;
      *) [ "$spot_try" -lt "$spot_most" ] ;;
    esac || return 1
    sleep 10
  done
}
spot_apt() {
  spot_most_tries=$1
  shift
  spot_patiently "$spot_most_tries" apt-get -qq -y -o DPkg::Lock::Timeout=20 -o Acquire::Retries=3 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
spot_install() {
  spot_said="this distribution has no such package"
  if command -v dnf >/dev/null; then [ -n "$2" ] && spot_patiently 2 dnf install -y -q $2
  elif command -v yum >/dev/null; then [ -n "$2" ] && spot_patiently 2 yum install -y -q $2
  elif command -v zypper >/dev/null; then [ -n "$3" ] && spot_patiently 2 zypper --non-interactive install $3
  elif command -v apt-get >/dev/null; then
    [ -n "$1" ] && {
      WAIT
      spot_apt 6 update || :
      spot_apt 1 install $1
    }
  else
    spot_said="there is no package manager that we know"
    false
  fi && return
  echo "cannot install ${1:-${2:-$3}}: $(printf '%s\n' "$spot_said" | tail -n 1)" >&2
  return 1
}
"""
# Before its end, cloud-init itself may still write apt's sources.
_WAIT = "command -v cloud-init >/dev/null && timeout 600 cloud-init status --wait >/dev/null"
_AWS_CLI = """\
PATH=$PATH:/usr/local/bin:/snap/bin:${HOME:-/root}/.spot-connect/aws-cli/bin
spot_aws_cli() {
  command -v aws >/dev/null && return
  spot_install awscli awscli-2 aws-cli || spot_install '' awscli2 '' || spot_install '' awscli ''
  command -v aws >/dev/null && return
  command -v snap >/dev/null && spot_quietly snap install aws-cli --classic
  command -v aws >/dev/null && return
  python3 -m venv "${HOME:-/root}/.spot-connect/aws-cli" >/dev/null 2>&1 ||
    { spot_install python3-venv '' '' && python3 -m venv "${HOME:-/root}/.spot-connect/aws-cli" >/dev/null; } || return
  "${HOME:-/root}/.spot-connect/aws-cli/bin/python" -m pip install -q awscli </dev/null >/dev/null
}
"""


def installer(*, in_user_data: bool = False) -> str:
    """Shell functions, for any POSIX shell; of them ``spot_install APT DNF ZYPPER`` is for others to call.

    Its arguments are the packages' names by package manager (yum has those of dnf), several in one word; an empty one
    says that this manager has none. It updates apt's lists first, waits for what others hold locked, asks nothing,
    reads nothing of the script's input, and says in one line on standard error what could not be installed and why.

    Args:
        in_user_data: it runs while cloud-init does, for which it must then not wait.

    Example:
        >>> "spot_install()" in installer()
        True
    """
    return _FUNCTIONS.replace("WAIT", ":" if in_user_data else _WAIT)


def install(*, apt: str = "", dnf: str = "", zypper: str = "", in_user_data: bool = False) -> str:
    """A whole script that installs one thing; its status is 0 when it is there.

    Example:
        >>> print(install(apt="git", dnf="git").splitlines()[-1])
        spot_install git git ''
    """
    names = " ".join(shlex.quote(name) for name in (apt, dnf, zypper))
    return f"{installer(in_user_data=in_user_data)}spot_install {names}\n"


def aws_cli(*, in_user_data: bool = False) -> str:
    """Shell functions, of which ``spot_aws_cli`` sees that ``aws`` can be called: it installs it where it lacks.

    Ubuntu 24.04 has no such package, but a snap; where there is neither, pip brings it.
    """
    return installer(in_user_data=in_user_data) + _AWS_CLI
