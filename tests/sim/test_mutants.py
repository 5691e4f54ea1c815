"""mutants.txt is about this program: what it breaks is there, and the rules it names are."""

import re

from tests.house.source import ROOT
from tests.sim.__main__ import MOODS_BY_NAME
from tests.sim.mutants import mutants

PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_every_mutant_breaks_a_text_that_is_there_once_and_stays_a_program() -> None:
    listed = list(mutants())
    assert len({each.name for each in listed}) == len(listed) > 0
    for each in listed:
        broken = each.made_of((ROOT / each.path).read_text(encoding="utf-8"))
        compile(broken, each.path, "exec", dont_inherit=True)


def test_every_mutant_names_a_rule_that_is_written_down() -> None:
    for each in mutants():
        decision = each.rule.removeprefix("ADR ")
        is_decided = decision != each.rule and list((ROOT / "docs" / "adr").glob(f"{decision}-*.md"))
        stated = rf"^(- \*\*{re.escape(each.rule)}\*\* |##+ {re.escape(each.rule)} )"
        assert is_decided or re.search(stated, PROTOCOL, re.MULTILINE), f"{each.name}: there is no {each.rule}"


def test_every_mutant_has_steps_that_there_are() -> None:
    assert {mood for each in mutants() if each.moods for mood in each.moods.split(",")} <= MOODS_BY_NAME.keys()
