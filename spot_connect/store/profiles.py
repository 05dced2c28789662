"""The profile file: the user's own copy if there is one, else the shipped one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from spot_connect.core.errors import StateError, UnknownProfile
from spot_connect.core.profiles import Profile, parse_one, parse_profiles, usual_region
from spot_connect.core.profiles import Settings as ProfileSettings
from spot_connect.store import tables
from spot_connect.store.refreshed import Refreshed
from spot_connect.store.settings import Settings
from spot_connect.store.state import State
from spot_connect.store.type_profiles import of_type

_SHIPPED_REGION = "us-east-1"
SHIPPED = Path(__file__).parent.parent / "data" / "profiles.txt"


class ProfileFile:
    """Profiles by name.

    The shipped file is never written. The first save makes the user's own copy, ``profiles.txt`` in the state
    directory, which an upgrade of the package leaves alone.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.own = state.path("profiles.txt")
        self._shared = state.home / "profiles.txt"

    @property
    def path(self) -> Path:
        """The file that is read now: this realm's own, else the user's, else the shipped one."""
        return next((path for path in (self.own, self._shared) if path.exists()), SHIPPED)

    def load(self) -> dict[str, ProfileSettings]:
        """Every profile as the file has it, all of them checked.

        Raises:
            UsageError: a broken edit; the error names the file and the line.
            StateError: the file cannot be read.
        """
        path = self.path
        return parse_profiles(self._text(path), str(path))

    def get(self, name: str, region: str = "") -> Profile:
        """One profile; for a type that the file does not have, one made from the tables.

        Args:
            name: a profile's name, or an instance type.
            region: the Region that a profile made from the tables is for; the default Region when left out.

        Raises:
            UnknownProfile: there is none of that name and no such type; the error has the nearest names.
            UsageError: a broken edit (the error names the file and the line), or a type that is not sold as spot.
            StateError: the file cannot be read.
        """
        path = self.path
        text = self._text(path)
        # A file that never has the name need not be parsed, which takes a hundred milliseconds.
        if name not in text and (made := self._of_type(name, region)):
            return made
        try:
            found = Profile.from_mapping(name, parse_one(text, str(path), name))
        except UnknownProfile:
            made = self._of_type(name, region)
            if made is None:
                raise
            return made
        return replace(found, is_movable=path == SHIPPED or self._is_as_shipped(found))

    def default_region(self) -> str:
        """The Region that most profiles are for.

        Raises:
            StateError: the file cannot be read.
        """
        return usual_region(self._text(self.path)) or _SHIPPED_REGION

    def chosen_region(self) -> str:
        """The Region that the user has moved the profiles to; empty when they are where they were shipped to.

        Raises:
            StateError: a file cannot be read.
        """
        if self.path == SHIPPED:
            return ""
        usual = self.default_region()
        is_chosen = usual == Settings(self._state).region or usual != usual_region(self._text(SHIPPED))
        return usual if is_chosen else ""

    def save(self, profiles: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the user's profiles; what was there before stays in ``profiles.txt.bak``, comments where they were.

        Raises:
            UsageError: a profile that could not be read back; nothing was written.
            StateError: the file cannot be written; the old one is as it was.
        """
        with self._state.lock("profiles", wait_seconds=30):
            self._write(profiles)

    def change(self, edit: Callable[[dict[str, ProfileSettings]], Mapping[str, Mapping[str, Any]]]) -> None:
        """Save what ``edit`` makes of all profiles; whatever it raises, nothing was written.

        Raises:
            UsageError: a broken edit in the file, or a profile that could not be read back.
            StateError: the file cannot be read or written.
        """
        with self._state.lock("profiles", wait_seconds=30):
            self._write(edit(self.load()))

    def _of_type(self, name: str, region: str) -> Profile | None:
        made = of_type(name, region or self.default_region())
        return made and replace(made, is_movable=not region and not self.chosen_region())

    def _is_as_shipped(self, profile: Profile) -> bool:
        """Whether the user has left Region, image and cap of a profile as they came, though a refresh may have not."""
        try:
            shipped = Profile.from_mapping(profile.name, parse_one(self._text(SHIPPED), str(SHIPPED), profile.name))
        except UnknownProfile:
            return False
        if profile.region == Settings(self._state).region or profile.region != shipped.region:
            return False
        refreshed = Refreshed(State(self._state.home))
        is_our_image = profile.image_id in ("", shipped.image_id) or bool(
            tables.image_by_id(profile.image_id) or refreshed.image_name(profile.image_id)
        )
        listed = refreshed.price(profile.instance_type, profile.region)
        is_our_cap = profile.price in (None, shipped.price) or (bool(listed) and profile.price == Decimal(listed))
        return is_our_image and is_our_cap

    def _write(self, profiles: Mapping[str, Mapping[str, Any]]) -> None:
        from spot_connect.core.profile_edits import rewrite_profiles

        path = self.path
        text = rewrite_profiles(self._text(path), str(path), profiles)
        old = self._state.read(self.own)
        if old is not None:
            self._state.write_atomic(self.own.with_name("profiles.txt.bak"), old)
        self._state.write_atomic(self.own, text)

    def _text(self, path: Path) -> str:
        # The shipped file is as trustworthy as the program beside it.
        state = State(path.parent, is_users=True) if path == SHIPPED else self._state
        text = state.read_text(path)
        if text is None:
            raise StateError(f"cannot read {path}", "it is not there", "Install spot-connect again.")
        return text
