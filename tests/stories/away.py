"""What a node without an address takes part in, by real processes: nothing ever connects to the two laptops.

`make story-away`: a mirror, a village's node with an address, a laptop in a kitchen and one at a farm.
The first that does not hold ends it.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.driver import people
from tests.driver.machine import Machine, Refused, free_ports
from tests.stories.stage import Stage, StoryFailed, stage

LIMIT_S = 900
USUAL_TIMEOUT_S = 120
ERASE = """
mutation Erase($input: EraseRecordInput!) { eraseRecord(input: $input) { userErrors { code message } } }
"""
SUCCEED = """
mutation Succeed($input: UpdateOrganizationInput!) {
  updateOrganization(input: $input) { userErrors { code message } } }
"""
REMOVE = """
mutation Remove($input: RequestRemovalInput!) { requestRemoval(input: $input) { requested userErrors { code } } }
"""
VOUCHES = "/federation/v1/vouches/{}"
COSIGNED = "query Cosigned($id: ID!) { node(id: $id) { ... on Need { provenance { cosigners { id } } } } }"


def main() -> int:
    """Return 0 when everything was as told."""
    try:
        with stage(LIMIT_S) as told:
            try:
                Away(told).run()
            finally:
                for machine in told.machines:
                    machine.kill()
    except (Refused, StoryFailed) as failed:
        sys.stderr.write(f"NOT AS TOLD: {failed}\n")
        return 1
    return 0


class Away:
    """The story, act by act."""

    def __init__(self, told: Stage) -> None:
        self.told = told
        self.mirror, self.desa, self.kitchen, self.farm = (
            told.machine(name, port, base_url=f"http://127.0.0.1:{port}", poll_interval_s="1", witness="true")
            for name, port in zip(("mirror", "desa", "kitchen", "farm"), free_ports(4), strict=True)
        )
        self.ids: dict[str, str] = {}
        self.tokens: dict[tuple[str, str, str], str] = {}

    def run(self) -> None:
        """Tell it; raise StoryFailed or Refused where something is not as told."""
        self.four_nodes()
        self.contact_while_the_kitchen_is_off()
        self.contact_of_a_home_with_an_address()
        self.a_witness()
        self.a_second_mirror()
        self.a_vouch()
        self.a_backup()
        self.a_guest_moves_in()
        self.erased_and_acknowledged()
        self.told.tell("as told")

    def four_nodes(self) -> None:
        with ThreadPoolExecutor() as both:
            list(both.map(self.begin_host, (self.mirror, self.desa)))
            self.mirror.gotong("peer", "add", self.desa.url, "--allow")
            self.desa.gotong("peer", "add", self.mirror.url, "--allow")
            list(both.map(self.begin_laptop, (self.kitchen, self.farm), ("dapur-ibu", "pos-tani")))
            list(both.map(self.allow_others, (self.kitchen, self.farm, self.desa)))
        self.told.tell("a mirror, a village's node with an address, two laptops that joined the mirror")

    def begin_host(self, machine: Machine) -> None:
        host = f"{machine.name}.gotong.test"
        self.ids[machine.name] = people.begin(machine, f"Simpul {machine.name}", "--no-cards", "--did-host", host)

    def begin_laptop(self, machine: Machine, slug: str) -> None:
        link = self.mirror.gotong("peer", "invite", "--slug", slug, "--allow")["link"]
        cards = str(machine.data.parent / "cards")
        self.ids[machine.name] = people.begin(machine, slug, "--mirror", link, "--cards", cards)
        machine.gotong("peer", "allow", self.mirror.url)

    def allow_others(self, machine: Machine) -> None:
        for other in {"desa", "kitchen", "farm"} - {machine.name}:
            self.until(machine, lambda o=other: machine.gotong("peer", "allow", self.ids[o]), f"no {other}")

    def token(self, machine: Machine, author: str, scope: str = "records:write") -> str:
        """Return a token, made once: every command is a process of its own."""
        key = machine.name, author, scope
        if key not in self.tokens:
            self.tokens[key] = people.token(machine, author, scope)
        return self.tokens[key]

    def ask(self, machine: Machine, record: str) -> dict[str, object]:
        """Return what a machine is told when its operator asks for a contact."""
        token = self.token(machine, self.ids[machine.name], "restricted:read")
        told = machine.ask(people.ASK_CONTACT, token, input={"as": self.ids[machine.name], "id": record})[
            "requestRestricted"
        ]
        if told["userErrors"]:
            raise Refused(str(told["userErrors"]))
        return dict(told)

    def published(self, machine: Machine, title: str) -> str:
        """Return a need with a contact that everybody has."""
        token = self.token(machine, self.ids[machine.name])
        written: dict[str, str] = {}

        def is_signed() -> bool:
            given = people.need(self.ids[machine.name], title, contact=people.CONTACT)
            answer = machine.ask(people.PUBLISH, token, input=given)["publishNeed"]
            written["id"] = (answer["need"] or {}).get("id", "")
            return bool(written["id"])

        self.until(machine, is_signed, f"{title!r} is not published")
        for other in self.told.machines:
            self.until(other, lambda o=other: people.needs(o, title), f"{title!r} does not come to {other.name}")
        return written["id"]

    def contact_while_the_kitchen_is_off(self) -> None:
        need = self.published(self.kitchen, "Panci besar")
        self.kitchen.gotong("contact", "allow", self.ids["kitchen"], self.ids["farm"])
        self.kitchen.gotong("contact", "allow", self.ids["kitchen"], self.ids["mirror"])
        self.kitchen.kill()
        first = self.ask(self.farm, need)
        self.told.require(first["waiting"] and not first["contact"], "the kitchen is off: the farm's request waits")
        self.told.require(self.ask(self.farm, need) == first, "asked again it is the same request")
        self.told.require(self.ask(self.mirror, need)["waiting"], "the mirror's own people wait as well")
        self.kitchen.up()
        for machine in (self.farm, self.mirror):
            took_s = self.until(machine, lambda m=machine: self.ask(m, need)["contact"] == people.CONTACT, "no answer")
            self.told.tell(f"the kitchen is on: {machine.name} has the contact {took_s:.1f} s later")
        log = self.kitchen.gotong("contact", "log", self.ids["kitchen"])["requests"]
        self.told.require(len(log) == 2, "two releases are written down in the kitchen")

    def contact_of_a_home_with_an_address(self) -> None:
        need = self.published(self.desa, "Genset")
        self.desa.gotong("contact", "allow", self.ids["desa"], self.ids["farm"])
        self.told.require(
            self.ask(self.farm, need)["contact"] == people.CONTACT,
            "the village's node, which never added the farm, answers the farm at once",
        )

    def erased_and_acknowledged(self) -> None:
        """Both at once: a node rewrites its files at most every ten minutes, and says only then that it erased."""
        ours, theirs = self.published(self.kitchen, "Tikar"), self.published(self.mirror, "Kasur")
        for machine, record in ((self.kitchen, ours), (self.mirror, theirs)):
            token = self.token(machine, self.ids[machine.name])
            answer = machine.ask(ERASE, token, input={"id": record, "parts": ["BODY"]})["eraseRecord"]
            self.told.require(not answer["userErrors"], f"{machine.name} erases a need")
        self.acknowledged(self.kitchen, ours, "the mirror says in a signed note to the kitchen that it is gone there")
        self.acknowledged(self.mirror, theirs, "both laptops and the village bring the mirror theirs")

    def acknowledged(self, machine: Machine, record: str, text: str) -> None:
        def nobody_is_missing() -> bool:
            rows = machine.gotong("erasures", "list")
            (row,) = [each for each in rows if each["id"] == record]
            return not row["missing"]

        took_s = self.until(machine, nobody_is_missing, f"not acknowledged: {text}")
        self.told.tell(f"{text}: {took_s:.1f} s")

    def a_witness(self) -> None:
        self.farm.gotong("peer", "add", self.desa.url, "--allow")
        self.farm.gotong("sync")  # it knows now where the village's logs are at home, and brings its signature there
        need = self.published(self.desa, "Terpal")

        def is_cosigned() -> bool:
            node = self.desa.ask(COSIGNED, id=need)["node"]
            return self.ids["farm"] in {each["id"] for each in node["provenance"]["cosigners"]}

        took_s = self.until(self.desa, is_cosigned, "the farm's cosignature does not come")
        self.told.tell(f"the farm has cosigned the village's log, and the village shows it: {took_s:.1f} s")

    def a_second_mirror(self) -> None:
        """What waits for the kitchen waits at the village as well; either mirror may be off."""
        self.kitchen.gotong("peer", "join", self.desa.gotong("peer", "invite", "--allow")["link"])
        need = self.published(self.kitchen, "Kompor")
        self.kitchen.kill()
        self.told.require(
            self.ask(self.farm, need)["waiting"], "the kitchen, with two mirrors, is off: a request waits"
        )
        self.mirror.kill()
        asked = self.desa.ask(REMOVE, input={"id": need, "reason": "Nomor ibu saya"})["requestRemoval"]
        self.told.require(asked["requested"], "its first mirror is off; somebody asks the village to remove that need")
        self.kitchen.up()
        took_s = self.until(self.farm, lambda: self.ask(self.farm, need)["contact"] == people.CONTACT, "no answer")
        self.told.tell(f"the kitchen is on: the farm has the contact by way of the village {took_s:.1f} s later")
        self.until(self.kitchen, lambda: self.kitchen.gotong("removals", "list"), "no request for removal comes")
        (removal,) = self.kitchen.gotong("removals", "list")
        self.told.require(
            removal["id"] == need, f"the request for removal is on the kitchen's list: {removal['reason']}"
        )
        self.mirror.up()
        log = self.kitchen.gotong("contact", "log", self.ids["kitchen"])["requests"]
        self.told.require(len(log) == 3, "the first mirror is on again: the request at both was released once")

    def a_vouch(self) -> None:
        begun: list[str] = []

        def is_begun() -> bool:  # the kitchen was killed: it signs once its mirrors confirmed that nothing was lost
            begun.append(self.kitchen.gotong("org", "create", "Dapur Baru", "--region", "34.71", "--no-cards")["id"])
            return True

        self.until(self.kitchen, is_begun, "the kitchen cannot begin a new one")
        (new,) = begun
        claim = self.kitchen.ask(
            SUCCEED, self.token(self.kitchen, new), input={"id": new, "succeeds": self.ids["kitchen"]}
        )
        self.told.require(not claim["updateOrganization"]["userErrors"], "a new kitchen says that it is the old one")

        def is_vouched() -> bool:
            return bool(self.farm.gotong("participant", "vouch", self.ids["kitchen"], new)["vouches"])

        self.until(self.farm, lambda: self.farm.gotong("peer", "allow", new), "the new kitchen does not come")
        self.until(self.farm, is_vouched, "the farm cannot vouch")
        self.until(self.mirror, lambda: self.mirror.get(VOUCHES.format(new[7:])).json()["vouches"], "no vouch comes")
        self.told.tell("the farm vouches for it, and the mirror hands that on")

    def a_backup(self) -> None:
        self.mirror.gotong("peer", "allow-backups", self.ids["kitchen"], "--bytes", "10000000")
        done = self.kitchen.gotong("backup", "--to", self.mirror.url)
        self.told.require(done, f"the kitchen's backup lies at the mirror: {done}")

    def a_guest_moves_in(self) -> None:
        cards = self.desa.data.parent / "pojok"
        guest = self.desa.gotong("org", "create", "Pojok Baca", "--region", "34.71", "--cards", str(cards))["id"]
        self.until(self.farm, lambda: self.farm.gotong("peer", "allow", guest), "the guest does not come")
        package = self.desa.data.parent / "pojok.move"
        self.desa.gotong("org", "move", "out", guest, str(package))
        two = sorted(str(each) for each in cards.iterdir() if each.suffix == ".html")[:2]
        self.farm.gotong("sync")
        moved = self.farm.gotong("org", "move", "in", str(package), "--card", two[0], "--card", two[1])
        self.told.require("mirror.gotong.test" in moved["did"], f"a guest moved to the farm: {moved['did']}")
        self.ids["guest"] = guest
        people.signed(self.farm, guest, "Buku gambar")
        for machine in (self.mirror, self.desa):
            self.until(machine, lambda m=machine: people.needs(m, "Buku gambar"), f"not at {machine.name}")
        path = f"/o/{moved['did'].rsplit(':', 1)[1]}/did.jsonl"
        self.told.require(self.mirror.get(path).status_code == 200, f"what it publishes there all have; {path} answers")

    def until(self, machine: Machine, condition: object, otherwise: str) -> float:
        return machine.wait(condition, USUAL_TIMEOUT_S, otherwise)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
