"""What the stories stand on: a cable that keeps back, and a story that says when it could not be told."""

import os
import socket
import subprocess
import sys

import pytest

from tests.driver.machine import free_ports
from tests.house.source import ROOT
from tests.stories.cable import Cable
from tests.waiting import PATIENCE_S


def test_what_is_sent_while_a_cable_is_cut_arrives_when_it_is_mended_and_nobody_is_told() -> None:
    port, far = free_ports(2)
    with (
        socket.create_server(("127.0.0.1", far)) as there,
        Cable(port, far) as cable,
        socket.create_connection(("127.0.0.1", port)) as here,
    ):
        accepted, _ = there.accept()
        with accepted:
            here.sendall(b"before")
            assert accepted.recv(16) == b"before"
            cable.cut()
            here.sendall(b"meanwhile")
            with socket.create_connection(("127.0.0.1", port)) as late:
                late.sendall(b"late")
                there.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    there.accept()
                accepted.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    accepted.recv(16)
                cable.mend()
                accepted.settimeout(PATIENCE_S)
                assert accepted.recv(16) == b"meanwhile"
                there.settimeout(PATIENCE_S)
                there.accept()[0].close()


def test_where_networks_cannot_be_made_the_story_says_so_and_is_not_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stories.networks"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("not run: make networks (there is no ip, nft")
    assert len(done.stdout.splitlines()) == 1
