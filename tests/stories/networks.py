"""Three nodes on real networks: loss, delay, cut cables, NAT, kill -9 while 2,000 records are on their way.

`make networks`. Needs root, `ip` and `nft`, because the networks are the kernel's (`tests.stories.namespaces`); where
they are missing it says so, ends with 0, and nothing was tested.
"""

import csv
import functools
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from tests.driver import people
from tests.driver.machine import Machine, Refused
from tests.stories.namespaces import Networks, NotPossibleHere, networks
from tests.stories.stage import Stage, StoryFailed, stage

LIMIT_S = 600
USUAL_TIMEOUT_S = 120
ALL_TIMEOUT_S = 240
RECORDS = 2_000
LOSS_PERCENT = 5
DELAY_MS = 60
SLOW_KIB_PER_S = 8
TRICKLE_KIB_PER_S = 1
MIDWAY_BYTES = 30_000
MIRROR, NGO, ROUTER = "10.77.0.2", "10.77.0.3", "10.77.0.4"
LAPTOP = "192.168.77.2"
PORT = 8_080
TEXT = "posko"
MAP = """
[source]
name = "posko"
id = ["nomor"]

[fields]
title = { column = "kebutuhan" }
kind = "GOODS"
category = "food.rice"
urgency = "HIGH"
region = "34.71"
quantity = { value = { column = "jumlah" }, unit = "kg" }
"""
COUNT = "{ needs(first: 1) { totalCount } }"


def main() -> int:
    """Return 0 when everything was as told, or could not be tried here."""
    try:
        with stage(LIMIT_S) as told, networks() as nets:
            try:
                _wire(told, nets)
            finally:
                for machine in told.machines:
                    machine.kill()  # before its namespace goes
    except NotPossibleHere as missing:
        sys.stdout.write(f"not run: make networks ({missing})\n")
    except (Refused, StoryFailed) as failed:
        sys.stderr.write(f"NOT AS TOLD: {failed}\n")
        return 1
    return 0


def _wire(told: Stage, nets: Networks) -> None:
    nets.add("mirror", MIRROR)
    nets.add("ngo", NGO)
    nets.add_behind_nat("laptop", "router", ROUTER)
    mirror = told.machine("mirror", PORT, networks=nets, address=MIRROR, base_url=f"http://{MIRROR}:{PORT}")
    ngo = told.machine("ngo", PORT, networks=nets, address=NGO, base_url=f"http://{NGO}:{PORT}")
    laptop = told.machine("laptop", PORT, networks=nets, address=LAPTOP)
    for name in ("ngo", "router"):
        nets.lose(name, LOSS_PERCENT)
    told.tell(f"three networks; {LOSS_PERCENT} of 100 packets to the NGO and to the laptop's router are lost")
    try:
        for name in ("ngo", "router"):
            nets.delay(name, DELAY_MS)
        told.tell(f"packets from the NGO and the router come {DELAY_MS} ms late")
    except NotPossibleHere as missing:
        told.tell(f"NOT TESTED, this kernel cannot: {missing}")
    nets.slow("mirror", SLOW_KIB_PER_S)
    nets.fast("mirror")
    try:
        Voyage(told, nets, mirror, ngo, laptop).run()
    except NotPossibleHere as failed:  # it was possible until here
        raise StoryFailed(str(failed)) from failed


@dataclass
class Voyage:
    """The story, act by act."""

    told: Stage
    nets: Networks
    mirror: Machine
    ngo: Machine
    laptop: Machine
    ids: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Tell it; raise StoryFailed or Refused where something is not as told."""
        self.three_nodes()
        self.nobody_reaches_the_laptop()
        self.everybody_publishes()
        self.a_contact_through_nat()
        self.killed_halfway()
        self.in_2010_without_a_cable()
        self.all_hold_the_same()
        self.told.tell("as told")

    def three_nodes(self) -> None:
        with ThreadPoolExecutor() as both:
            begun = both.map(self.begin_host, (self.mirror, self.ngo))
            self.ids |= dict(zip(("mirror", "ngo"), begun, strict=True))
        self.ngo.gotong("peer", "add", self.mirror.url, "--allow", "--private")
        self.mirror.gotong("peer", "add", self.ngo.url, "--allow", "--private")
        link = self.mirror.gotong("peer", "invite", "--slug", "dapur-ibu", "--allow")["link"]
        self.ids["laptop"] = people.begin(self.laptop, "Dapur Ibu", "--mirror", link, "--private", "--no-cards")
        self.laptop.gotong("peer", "allow", self.mirror.url)
        self.told.tell("a mirror, an NGO, and a laptop behind NAT that joined the mirror")

    def begin_host(self, machine: Machine) -> str:
        return people.begin(
            machine, f"Simpul {machine.name}", "--no-cards", "--did-host", f"{machine.name}.gotong.test"
        )  # fmt: skip

    def nobody_reaches_the_laptop(self) -> None:
        for address in (LAPTOP, ROUTER):
            url = f"http://{address}:{PORT}/readyz"
            try:
                self.nets.inside("mirror", functools.partial(httpx.get, url, timeout=5, trust_env=False))
            except httpx.TransportError:
                continue
            raise StoryFailed(f"the mirror reaches the laptop at {address}")
        self.told.tell("the mirror reaches the laptop neither at its address nor at its router's")

    def everybody_publishes(self) -> None:
        """One need of each, one of them while the author's cable is cut."""
        self.nets.cut("laptop")
        for machine in self.machines:
            people.signed(machine, self.ids[machine.name], f"Beras posko {machine.name}", contact=people.CONTACT)
        self.nets.mend("laptop")
        self.laptop.gotong("peer", "allow", self.ids["ngo"])  # it knows the NGO by the mirror only
        took_s = max(self.until(machine, 3, USUAL_TIMEOUT_S) for machine in self.machines)
        self.told.tell(f"the laptop published while its cable was cut; all have all three needs after {took_s:.1f} s")

    def a_contact_through_nat(self) -> None:
        """The NGO asks the laptop through the mirror; the cable is cut when the laptop has decided."""
        (need,) = people.needs(self.ngo, TEXT)["Beras posko laptop"]
        for asker in ("ngo", "mirror"):
            self.laptop.gotong("contact", "allow", self.ids["laptop"], self.ids[asker])
        tokens = {
            each.name: people.token(each, self.ids[each.name], "restricted:read") for each in (self.ngo, self.mirror)
        }
        took_s = self.ngo.wait(lambda: self.has_contact(self.ngo, need, tokens), USUAL_TIMEOUT_S, "no answer")
        self.told.tell(f"the NGO has the contact of the laptop behind NAT, lost packets and all, after {took_s:.1f} s")
        self.nets.cut("laptop")
        asked = not self.has_contact(self.mirror, need, tokens)
        self.told.require(asked, "the laptop's cable is cut: what the mirror's own people ask waits")
        self.nets.slow("mirror", TRICKLE_KIB_PER_S)
        self.nets.mend("laptop")
        self.laptop.wait(lambda: len(self.released()) == 2, ALL_TIMEOUT_S, "it does not decide")
        self.nets.cut("laptop")
        self.nets.fast("mirror")
        is_there = self.has_contact(self.mirror, need, tokens)
        self.told.tell(
            f"cable mended, the mirror takes a trickle; cut again when the laptop had decided: the answer "
            f"{'had passed already' if is_there else 'did not arrive'}"
        )
        self.nets.mend("laptop")
        took_s = self.mirror.wait(lambda: self.has_contact(self.mirror, need, tokens), USUAL_TIMEOUT_S, "no answer")
        self.told.tell(f"cable mended: the mirror's people have the contact after {took_s:.1f} s")
        self.told.require(len(self.released()) == 2, "each of the two requests is released and written down once")
        self.told.tell("NOT TESTED here: a router that forgets quiet connections, and carriers that change addresses")

    def has_contact(self, machine: Machine, need: str, tokens: dict[str, str]) -> bool:
        """Return whether a machine's operator is given the contact, False while it waits."""
        given = {"as": self.ids[machine.name], "id": need}
        told = machine.ask(people.ASK_CONTACT, tokens[machine.name], input=given)["requestRestricted"]
        if told["userErrors"]:
            raise Refused(str(told["userErrors"]))
        return bool(told["contact"] == people.CONTACT)

    def released(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.laptop.gotong("contact", "log", self.ids["laptop"])["requests"]
        return found

    def killed_halfway(self) -> None:
        """Kill the laptop while it hands 2,000 records over, and the mirror while the NGO takes them."""
        self.nets.cut("laptop")
        self.nets.cut("ngo")
        self.imported()
        self.told.tell(f"{RECORDS} records published on the laptop; its cable and the NGO's are cut")
        passed = self.midway("laptop", "mirror", self.mirror)
        self.nets.cut("laptop")
        self.laptop.kill()
        self.told.tell(f"cable mended; cut again and laptop killed when {passed} bytes of them had reached the mirror")
        self.laptop.wait(lambda: not self.nets.connections("laptop"), ALL_TIMEOUT_S, "its kernel goes on sending")
        self.told.require(_count(self.mirror) < 3 + RECORDS, f"the mirror has {_count(self.mirror)} needs")
        self.nets.fast("mirror")
        self.nets.mend("laptop")
        self.laptop.up()
        took_s = self.until(self.mirror, 3 + RECORDS, ALL_TIMEOUT_S)
        self.told.tell(f"laptop on again; the mirror has all records {took_s:.1f} s later")
        passed = self.midway("ngo", "ngo", self.ngo)
        self.mirror.kill()
        self.told.tell(f"the NGO's cable mended; mirror killed when {passed} bytes of them had reached the NGO")
        self.told.require(_count(self.ngo) < 3 + RECORDS, f"the NGO has {_count(self.ngo)} needs")
        self.nets.fast("ngo")
        self.mirror.up()
        took_s = max(self.until(machine, 3 + RECORDS, ALL_TIMEOUT_S) for machine in self.machines)
        self.told.tell(f"mirror on again; all have all records {took_s:.1f} s later")

    def midway(self, mended: str, slow: str, receiver: Machine) -> int:
        """Mend a cable and return how many bytes have come when some of the records have, and by no means all."""
        self.nets.slow(slow, SLOW_KIB_PER_S)
        before = self.nets.received_bytes(slow)
        self.nets.mend(mended)
        receiver.wait(lambda: self.nets.received_bytes(slow) - before > MIDWAY_BYTES, ALL_TIMEOUT_S, "nothing comes")
        return self.nets.received_bytes(slow) - before

    def in_2010_without_a_cable(self) -> None:
        self.nets.cut("laptop")
        self.laptop.kill()
        self.laptop.set_clock(datetime(2010, 1, 1, tzinfo=UTC) - datetime.now(UTC))
        self.laptop.up()
        answer = people.publish(self.laptop, self.ids["laptop"], "Gula posko 2010")
        self.told.require(not answer["need"], "laptop killed, on again in 2010 with its cable cut: its need waits")
        self.nets.mend("laptop")
        self.laptop.set_clock(timedelta(0))
        took_s = max(self.until(machine, 4 + RECORDS, USUAL_TIMEOUT_S) for machine in self.machines)
        self.told.tell(f"cable mended, clock right: all have it after {took_s:.1f} s")

    def all_hold_the_same(self) -> None:
        logs = [_logs(machine) for machine in self.machines]
        self.told.require(
            len(logs[0]) == 3 and logs.count(logs[0]) == 3, f"all hold the same three logs: {sorted(logs[0].values())}"
        )
        found = [people.needs(machine, TEXT) for machine in self.machines]
        self.told.require(
            len(found[0]) == 4 + RECORDS and found.count(found[0]) == 3, f"all answer the same {len(found[0])} needs"
        )
        self.told.require(all(len(ids) == 1 for ids in found[0].values()), "each of them once")
        for machine in self.machines:
            accused = people.accusations(machine)
            self.told.require(not accused, f"{machine.name} has no evidence of a fork and no report: {accused}")
            machine.gotong("verify", "--deep")
        self.told.tell("verify --deep holds on all three")

    def imported(self) -> None:
        """Publish RECORDS needs from a table on the laptop."""
        table, columns = self.told.directory / "posko.csv", self.told.directory / "posko.toml"
        columns.write_text(MAP)
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["nomor", "kebutuhan", "jumlah"])
            rows.writerows([number, f"Beras posko nomor {number}", 1 + number % 50] for number in range(RECORDS))
        done = self.laptop.gotong(
            "import", "needs", str(table), "--map", str(columns), "--as", self.ids["laptop"]
        )  # fmt: skip
        self.told.require(done["published"] == RECORDS, f"{done['published']} rows were imported")

    def until(self, machine: Machine, count: int, timeout_s: float) -> float:
        """Return after how many seconds a machine has so many needs."""
        return machine.wait(lambda: _count(machine) == count, timeout_s, f"it does not have {count} needs")

    @property
    def machines(self) -> tuple[Machine, Machine, Machine]:
        return self.mirror, self.ngo, self.laptop


def _count(machine: Machine) -> int:
    return int(machine.ask(COUNT)["needs"]["totalCount"])


def _logs(machine: Machine) -> dict[str, tuple[str, str]]:
    """Return size and root of every log that a machine relays, by its origin."""
    found = {}
    for head in machine.get("/federation/v1/heads").json()["logs"]:
        origin, size, root = head["checkpoint"].split("\n")[:3]
        found[origin] = (size, root)
    return found


if __name__ == "__main__":
    sys.exit(main())
