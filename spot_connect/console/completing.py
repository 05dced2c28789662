"""What TAB offers: the words that may come next.

A shell asks at every TAB, so only the tables and files that the answer needs are read, and AWS is not asked.
"""

from __future__ import annotations

from spot_connect.console.flags import BEFORE_A_VERB, FLAGS, VERBS
from spot_connect.screen.streams import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

_WITHOUT_VALUE = ("switch", "help")

# Bash keeps the backslashes of what is typed, and takes what is offered as it is.
_BASH = """\
_spot_connect() {
    local given=("${COMP_WORDS[@]:1:COMP_CWORD}") word
    COMPREPLY=()
    while IFS= read -r word; do
        printf -v word %q "$word"
        COMPREPLY+=("$word")
    done < <("$1" completion words "${given[@]//\\\\/}" 2>/dev/null)
}
complete -o default -F _spot_connect spot_connect
"""
_ZSH = """\
#compdef spot_connect
_spot_connect() {
    local -a found
    found=("${(@f)$("${(Q)words[1]}" completion words "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _spot_connect spot_connect
"""
SHELLS = {"bash": _BASH, "zsh": _ZSH}


def show_script(arguments: argparse.Namespace) -> int:
    """Print what a shell has to read once for its TAB key; the exit status."""
    say(*SHELLS[arguments.shell].splitlines())
    return 0


def show_words(words: Sequence[str]) -> int:
    """Print, a line each, what the last of ``words``, which is still being typed, may become; the exit status.

    Nothing is printed where a file is expected: the shell knows the files.
    """
    *before, begun = words or ("",)
    offered = sorted({word for word in _possible(before, begun) if word.startswith(begun)})
    say(*offered)
    return 0


def _possible(before: Sequence[str], begun: str) -> Iterable[str]:
    said = [word for word in before if word not in BEFORE_A_VERB]
    verb = said[0] if said else ""
    local = "--local" in before or verb == "local"
    if verb in VERBS:
        return _of_verb(verb, said[1:], begun, local=local)
    flags = [flag for group in FLAGS.values() for flag in group]
    for short, long, kind, *_ in flags if said else ():
        if said[-1] in (short, long) and kind not in _WITHOUT_VALUE:
            return ("True", "False") if kind == "boolean" else _values(long, local=local)
    if begun.startswith("-"):
        return (word for short, long, *_ in flags for word in (short, long) if word)
    return () if said else (*VERBS, *_names(local=local))


def _of_verb(verb: str, before: Sequence[str], begun: str, *, local: bool) -> Iterable[str]:
    import argparse

    from spot_connect.console.parser import verb_parser

    parser: argparse.ArgumentParser = verb_parser(verb)
    places = _places(parser)
    awaited: argparse.Action | None = None
    for word in before:
        if awaited:
            awaited = None
        elif word.startswith("-"):
            awaited = next((each for each in parser._actions if word in each.option_strings and each.nargs != 0), None)
        elif places and isinstance(places[0], argparse._SubParsersAction):
            if word not in places[0].choices:
                return ()
            parser = places[0].choices[word]
            places = _places(parser)
        elif places and places[0].nargs not in ("+", "*"):
            places = places[1:]
    if not awaited and begun.startswith("-"):
        return (word for each in parser._actions for word in each.option_strings)
    action = awaited or next(iter(places), None)
    return _of_action(action, local=local) if action else ()


def _places(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a parser takes by its place, in order."""
    return [action for action in parser._actions if not action.option_strings]


def _of_action(action: argparse.Action, *, local: bool) -> Iterable[str]:
    if action.choices:
        return action.choices
    return _values(action.option_strings[-1] if action.option_strings else f"--{action.dest}", local=local)


def _values(flag: str, *, local: bool) -> Iterable[str]:
    if flag in ("--name", "--names", "--on"):
        return _names(local=local)
    if flag == "--region":
        from spot_connect.store.tables import regions

        return regions()
    if flag in ("--profile", "--instancetype", "--type", "--types"):
        from spot_connect.store.tables import types

        return (row.instance_type for row in types())
    return ("on-demand",) if flag == "--fallback" else ()


def _names(*, local: bool) -> Iterable[str]:
    """The machines that this computer has met; a line of what is offered is a word, so none may have line ends."""
    from spot_connect.store.seen import seen
    from spot_connect.store.where import local_is_chosen, realm_directory

    return filter(str.isprintable, seen(realm_directory(local=local_is_chosen(local or None))))
