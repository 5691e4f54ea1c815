"""Networks of network namespaces: cables, a router with NAT, loss and delay. Needs root, `ip` and `nft`.

Everything is made inside namespaces of this process's own names and removed
at the end; nothing of the machine's own network is touched.
"""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

CLONE_NEWNET = 0x40000000
SWITCH = "switch"

Result = TypeVar("Result")


class NotPossibleHere(Exception):
    """This machine lacks what the networks are made of; the text says what."""


@dataclass
class Networks:
    """Namespaces on one switch, each with one cable to it."""

    prefix: str
    names: list[str] = field(default_factory=list)
    gateways: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, address: str) -> None:
        """Put one more machine on the switch, at `address` of 10.77.0.0/24."""
        self._namespace(name)
        self._cable(name, "up0", SWITCH, f"p-{name}")
        self._ip(name, "addr", "add", f"{address}/24", "dev", "up0")
        self._ip(SWITCH, "link", "set", f"p-{name}", "master", "br0")

    def add_behind_nat(self, name: str, router: str, address: str) -> None:
        """Put a machine behind a router on the switch at `address`: it reaches out, nobody reaches it."""
        self.add(router, address)
        self._namespace(name)
        self._cable(name, "up0", router, "down0")
        self._ip(name, "addr", "add", "192.168.77.2/24", "dev", "up0")
        self._ip(router, "addr", "add", "192.168.77.1/24", "dev", "down0")
        self.gateways[name] = "192.168.77.1"
        self._ip(name, "route", "add", "default", "via", self.gateways[name])
        self.run(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._nft(router, "add table ip nat")
        self._nft(router, "add chain ip nat out { type nat hook postrouting priority 100 ; }")
        self._nft(router, 'add rule ip nat out oifname "up0" masquerade')

    def lose(self, name: str, percent: int) -> None:
        """Have one machine's cable lose so many of the packets that come in."""
        self._nft(name, "add table ip loss")
        self._nft(name, "add chain ip loss arriving { type filter hook input priority 0 ; }")
        self._nft(name, "add chain ip loss passing { type filter hook forward priority 0 ; }")
        for chain in ("arriving", "passing"):
            self._nft(name, f'add rule ip loss {chain} iifname "up0" numgen random mod 100 < {percent} drop')

    def slow(self, name: str, kib_per_s: int) -> None:
        """Have one machine's cable bring so much and lose the rest, until `fast`."""
        self._nft(name, "add table ip slow")
        for chain, hook in (("arriving", "input"), ("passing", "forward")):
            self._nft(name, f"add chain ip slow {chain} {{ type filter hook {hook} priority 1 ; }}")
            self._nft(name, f'add rule ip slow {chain} iifname "up0" limit rate over {kib_per_s} kbytes/second drop')

    def fast(self, name: str) -> None:
        """Have the cable bring all again."""
        self._nft(name, "delete table ip slow")

    def connections(self, name: str) -> list[str]:
        """Return the TCP connections that a machine's kernel still looks after, whoever opened them."""
        shown = self._try(*self.command(name), "ss", "-Htn", "state", "connected", "exclude", "time-wait")
        _must(shown)
        return shown.stdout.splitlines()

    def received_bytes(self, name: str) -> int:
        """Return how much came by a machine's cable so far."""
        shown = self._try("ip", "-n", self._full(name), "-json", "-statistics", "link", "show", "up0")
        _must(shown)
        return int(json.loads(shown.stdout)[0]["stats64"]["rx"]["bytes"])

    def delay(self, name: str, delay_ms: int) -> None:
        """Have packets from one machine come later; raise NotPossibleHere where the kernel has no netem."""
        rule = f"tc qdisc add dev up0 root netem delay {delay_ms}ms {delay_ms // 4}ms"
        done = self._try(*self.command(name), *rule.split())
        if done.returncode:
            raise NotPossibleHere(f"delayed packets: {done.stderr.strip()}")

    def cut(self, name: str) -> None:
        """Pull the cable of one machine."""
        self._ip(name, "link", "set", "up0", "down")

    def mend(self, name: str) -> None:
        """Put the cable back; routes through it come back with it."""
        self._ip(name, "link", "set", "up0", "up")
        if name in self.gateways:
            self._ip(name, "route", "replace", "default", "via", self.gateways[name])

    def command(self, name: str) -> list[str]:
        """Return what goes before a command to run it on a machine."""
        return ["ip", "netns", "exec", self._full(name)]

    def run(self, name: str, *command: str) -> None:
        """Run a command on a machine; raise NotPossibleHere when it fails."""
        _must(self._try(*self.command(name), *command))

    def inside(self, name: str, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, done by a thread whose sockets are the machine's."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: (_enter(self._full(name)), work())[1]).result()

    def begin(self) -> None:
        """Make the switch; raise NotPossibleHere."""
        missing = [each for each in ("ip", "nft", "tc", "ss", "sysctl") if shutil.which(each) is None]
        if missing or os.geteuid() != 0:
            raise NotPossibleHere("it needs root" if not missing else f"there is no {', '.join(missing)}")
        self._namespace(SWITCH)
        self._ip(SWITCH, "link", "add", "br0", "type", "bridge")
        self._ip(SWITCH, "link", "set", "br0", "up")

    def end(self) -> None:
        """Remove everything."""
        for name in reversed(self.names):
            self._try("ip", "netns", "del", name)

    def _full(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def _namespace(self, name: str) -> None:
        _must(self._try("ip", "netns", "add", self._full(name)))
        self.names.append(self._full(name))
        self._ip(name, "link", "set", "lo", "up")
        self.run(name, "sysctl", "-qw", "net.ipv4.tcp_orphan_retries=1")  # what a killed process left unsent ends soon

    def _cable(self, one: str, one_end: str, other: str, other_end: str) -> None:
        self._ip(one, "link", "add", one_end, "type", "veth", "peer", "name", other_end, "netns", self._full(other))
        self._ip(one, "link", "set", one_end, "up")
        self._ip(other, "link", "set", other_end, "up")

    def _ip(self, name: str, *words: str) -> None:
        _must(self._try("ip", "-n", self._full(name), *words))

    def _nft(self, name: str, rule: str) -> None:
        self.run(name, "nft", rule)

    def _try(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@contextlib.contextmanager
def networks() -> Iterator[Networks]:
    """Yield a switch with nothing on it, or raise NotPossibleHere; what is left of it is removed."""
    made = Networks(f"gt{os.getpid()}")
    try:
        made.begin()
        yield made
    finally:
        made.end()


def _must(done: "subprocess.CompletedProcess[str]") -> None:
    if done.returncode:
        raise NotPossibleHere(f"{' '.join(map(str, done.args))}: {done.stderr.strip()}")


def _enter(namespace: str) -> Any:
    """Move the calling thread, and only it, into a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/run/netns/{namespace}").open() as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET):
            raise NotPossibleHere(f"setns: {os.strerror(ctypes.get_errno())}")
