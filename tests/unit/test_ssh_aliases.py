from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spot_connect.core.ssh_config import SshAlias
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State

VM = SshAlias("my vm/1", "i-1", "203.0.113.7", 22, "ubuntu", Path("/keys 100%/k.pem"), Path("/pins"))


def test_a_name_leads_to_the_machine_that_has_it_now(tmp_path):
    aliases = SshAliases(State(tmp_path))
    aliases.keep(VM)
    aliases.keep(replace(VM, instance_id="i-2"))
    [file] = tmp_path.glob("ssh/*.conf")
    text = file.read_text()
    assert text.startswith('Host "my vm/1"\n')
    assert '"/keys 100%%/k.pem"' in text
    assert "HostKeyAlias i-2\n" in text
    aliases.forget("my vm/1", "i-1")
    assert file.exists()
    aliases.forget("my vm/1", "i-2")
    assert not file.exists()


def test_a_name_that_would_stand_for_others_is_left_out(tmp_path):
    SshAliases(State(tmp_path)).keep(replace(VM, name="vm*"))
    assert not list(tmp_path.glob("ssh/*"))
