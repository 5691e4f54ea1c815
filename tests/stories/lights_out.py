"""Padam, pulang: lights out, home again. A laptop that nobody can connect to loses everything and comes back.

`make story-lights-out`. Real processes, each with its own database, on sockets of this machine; needs no rights. The
laptop's only way out is a cable of the story, which can be cut; nobody is told where the laptop itself is.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tests.driver import people
from tests.driver.machine import Machine, Refused, free_ports
from tests.stories.cable import Cable
from tests.stories.stage import Stage, StoryFailed, stage

LIMIT_S = 600
RESTORED_TIMEOUT_S = 60
USUAL_TIMEOUT_S = 120
BACKUP_BYTES = 1024 * 1024
SLUG = "dapur-ibu"
TEXT = "dapur"
WITH_CONTACT, CUT_OFF, IN_2010, AT_HOME = (f"{what} untuk dapur" for what in ("Beras", "Minyak", "Gula", "Lampu"))


def main() -> int:
    """Return 0 when everything was as told."""
    try:
        with stage(LIMIT_S) as told:
            mirror_port, cable_port, ngo_port, laptop_port = free_ports(4)
            with Cable(cable_port, mirror_port) as cable:
                mirror = told.machine(
                    "mirror",
                    mirror_port,
                    base_url=f"http://localhost:{cable_port}",
                    other_authorities=f"127.0.0.1:{mirror_port}",
                )
                ngo = told.machine("ngo", ngo_port, base_url=f"http://localhost:{ngo_port}")
                laptop = told.machine("laptop", laptop_port)
                Padam(told, cable, mirror, ngo, laptop).run()
    except (Refused, StoryFailed) as failed:
        sys.stderr.write(f"NOT AS TOLD: {failed}\n")
        return 1
    return 0


class Padam:
    """The story, act by act."""

    def __init__(self, told: Stage, cable: Cable, mirror: Machine, ngo: Machine, laptop: Machine) -> None:
        self.told, self.cable, self.mirror, self.ngo, self.laptop = told, cable, mirror, ngo, laptop
        self.hosts = (mirror, ngo)
        self.cards = told.directory / "cards"
        self.scid = ""
        self.ids: dict[str, str] = {}

    def run(self) -> None:
        """Tell it; raise StoryFailed or Refused where something is not as told."""
        self.three_nodes()
        self.a_need_goes_out()
        self.lights_out()
        self.all_is_restored()
        self.the_laptop_is_lost()
        self.home_again()
        self.nobody_is_accused()
        self.told.tell("as told")

    def three_nodes(self) -> None:
        with ThreadPoolExecutor() as both:
            list(both.map(lambda machine: people.begin(machine, f"Simpul {machine.name}", "--no-cards"), self.hosts))
        self.ngo.gotong("peer", "add", self.mirror.url, "--allow")
        link = self.mirror.gotong("peer", "invite", "--slug", SLUG, "--allow")["link"]
        self.scid = people.begin(self.laptop, "Dapur Ibu", "--mirror", link, "--cards", str(self.cards))
        self.mirror.gotong("peer", "allow-backups", self.scid, "--bytes", str(BACKUP_BYTES))
        self.told.tell(f"a mirror, an NGO that copies from it, and a laptop that joined it: {self.scid}")
        known = str(self.mirror.gotong("peer", "list")) + str(self.ngo.gotong("peer", "list"))
        self.told.require(str(self.laptop.port) not in known, "nobody was given the laptop's address")

    def a_need_goes_out(self) -> None:
        people.signed(self.laptop, self.scid, WITH_CONTACT, contact=people.CONTACT, exactPlace=people.EXACT_PLACE)
        took_s = self.once_on(self.ngo, [WITH_CONTACT], USUAL_TIMEOUT_S)
        self.told.tell(f"the NGO has the laptop's need after {took_s:.1f} s, by way of the mirror")
        self.laptop.gotong("backup", "--to", self.mirror_url)
        self.told.tell("the laptop's contacts are with the mirror, sealed to the cards")

    def lights_out(self) -> None:
        self.cable.cut()
        people.signed(self.laptop, self.scid, CUT_OFF)
        self.told.tell("the cable is cut; the laptop published one more need, which nobody hears of")
        self.laptop.kill()
        self.laptop.set_clock(datetime(2010, 1, 1, tzinfo=UTC) - datetime.now(UTC))
        self.laptop.up()
        answer = people.publish(self.laptop, self.scid, IN_2010)
        self.told.require(answer["need"] is None, "killed, and started again in 2010; a third need is not signed")

    def all_is_restored(self) -> None:
        self.cable.mend()
        self.once_on(self.ngo, [WITH_CONTACT, CUT_OFF], USUAL_TIMEOUT_S)
        waiting = self.laptop.gotong("waiting")["waiting"]
        self.told.require(len(waiting) == 1, "cable mended, still 2010: the NGO has the second need, the third waits")
        self.laptop.set_clock(timedelta(0))
        took_s = self.once_on(self.ngo, [WITH_CONTACT, CUT_OFF, IN_2010], RESTORED_TIMEOUT_S)
        self.told.tell(f"clock right: the NGO has all three needs, open and each once, after {took_s:.1f} s")
        self.ids = {title: ids[0] for title, ids in people.needs(self.ngo, TEXT).items()}
        self.laptop.gotong("backup", "--to", self.mirror_url)

    def the_laptop_is_lost(self) -> None:
        self.laptop.lose()
        self.told.require(not self.laptop.data.exists(), "the laptop's data directory is gone, with keys and database")

    def home_again(self) -> None:
        cards = [str(path) for path in sorted(self.cards.iterdir())]
        self.told.require(len(cards) == 3, "two of the three cards are at hand")
        restored = self.laptop.gotong(
            "restore", "--private", "--from", self.mirror_url, "--cards", cards[0], "--cards", cards[2], "--port",
            str(self.laptop.port),
        )  # fmt: skip
        self.told.require(restored["id"] == self.scid, f"restored from the mirror alone: {restored['did']}")
        identity = self.mirror.get(f"/o/{SLUG}/did.jsonl").text.splitlines()[-1]
        self.told.require(self.mirror_url in identity, "its identity still names the mirror as the place of its log")
        self.told.require(not restored["missing"] and not restored["refused"], "no contact is missing")
        self.laptop.up()
        self.laptop.wait(lambda: self.is_whole(self.laptop), USUAL_TIMEOUT_S, "its needs are not answered")
        self.told.tell("the same needs under the same ids, each once, on the new laptop")
        found = self.laptop.ask(
            people.CONTACTS, people.token(self.laptop, self.scid, "restricted:read"), ids=[self.ids[WITH_CONTACT]]
        )["nodes"][0]  # fmt: skip
        self.told.require(
            found["contact"] == people.CONTACT and found["exactPlace"] == people.EXACT_PLACE,
            "its people read the contact and the exact place again",
        )
        people.signed(self.laptop, self.scid, AT_HOME)
        took_s = self.once_on(self.ngo, [AT_HOME], USUAL_TIMEOUT_S)
        self.ids[AT_HOME] = people.needs(self.ngo, TEXT)[AT_HOME][0]
        self.told.tell(f"what it publishes under its new key is with the NGO after {took_s:.1f} s")

    def nobody_is_accused(self) -> None:
        for machine in (*self.hosts, self.laptop):
            self.told.require(self.is_whole(machine), f"{machine.name} has all needs, each once")
            accused = people.accusations(machine)
            self.told.require(not accused, f"{machine.name} has no evidence of a fork and no report: {accused}")
            machine.gotong("verify", "--deep")
        self.told.tell("verify --deep holds on all three")

    def once_on(self, machine: Machine, titles: list[str], timeout_s: float) -> float:
        """Return after how many seconds a machine has each of these needs; raise when it has one twice."""

        def is_there() -> bool:
            found = people.needs(machine, TEXT)
            if any(len(ids) > 1 for ids in found.values()):
                raise StoryFailed(f"{machine.name} has a need twice: {found}")
            return set(titles) <= set(found)

        return machine.wait(is_there, timeout_s, f"{machine.name} does not have {titles}")

    def is_whole(self, machine: Machine) -> bool:
        """Return whether a machine has the needs from before the loss, under their ids and each once."""
        found = people.needs(machine, TEXT)
        return all(found.get(title) == [number] for title, number in self.ids.items())

    @property
    def mirror_url(self) -> str:
        return self.mirror.environment["GOTONG_BASE_URL"]


if __name__ == "__main__":
    sys.exit(main())
