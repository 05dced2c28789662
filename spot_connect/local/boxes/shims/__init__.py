"""Commands that stand in for those an EC2 image has and a box cannot: shell scripts, put first on a box's PATH."""

from __future__ import annotations

from pathlib import Path

_ALIASES = {
    "shutdown": ("shutdown", "poweroff", "halt", "reboot"),
    "mount": ("mount", "mount.nfs", "mount.nfs4", "mount.efs"),
    "ask": ("spot-connect-ask",),
    "place": ("spot-connect-place",),
    "system": ("spot-connect-system",),
}


def install(folder: Path) -> Path:
    """Write the commands into ``folder``, readable and executable by everybody; the folder."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)
    for script in sorted(Path(__file__).parent.glob("*.sh")):
        for name in _ALIASES.get(script.stem, (script.stem,)):
            _put(folder / name, script.read_text())
    return folder


def _put(path: Path, text: str) -> None:
    # By renaming: a script that runs at this moment must not change under its shell.
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(path)
