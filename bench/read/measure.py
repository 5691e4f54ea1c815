"""Ask every server the same in turns, and keep what each turn cost."""

import json
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.read.floor import floor
from bench.read.questions import DOCUMENTS, FLAT, GOTONG, Draw, content, variables
from bench.read.servers import Postgres, Server
from bench.read.statements import Statement, Statements, literal

FLOOR, FLAT_ROWS, PLAIN_GIN = "floor", "flat", "plain_gin"
CONNECTIONS_THROUGHPUT, CONNECTIONS_LATENCY = 16, 64
COMPARED_DRAWS = 16
FLOOR_DRAWS_EVERY = 8  # each is a statement to prepare on every connection, which must not be what is measured
Turn = Mapping[str, float]


class AnswersDiffer(Exception):
    """Two servers answer the same question differently: nothing may be compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often to measure."""

    rounds: int
    seconds: float
    latency_rounds: int
    warm_up_s: float


@dataclass
class Measured:
    """Every turn of one question: by who answered, at 16 connections and at 64."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    latency: dict[str, list[Turn]] = field(default_factory=dict)

    def median(self, name: str, key: str) -> float:
        """Return the median over the rounds."""
        return statistics.median(turn[key] for turn in self.turns[name])

    def p99_ms(self, name: str) -> float:
        """Return the median over the rounds of the slowest hundredth at 64 connections."""
        return statistics.median(turn["p99_ms"] for turn in self.latency[name])


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that is measured against."""

    servers: Sequence[Server]
    dsn: str
    postgres: Postgres
    statements: Statements

    def assert_equal(self, question: str, draws: Sequence[Draw]) -> None:
        """Raise AnswersDiffer unless all servers give the same content for a sample of draws."""
        seen = 0
        for draw in draws[:COMPARED_DRAWS]:
            answers = {
                server.name: content(server.name, self._answer(server, question, draw)) for server in self.servers
            }
            ours = answers[GOTONG]
            seen += len(ours)
            for name, rows in answers.items():
                if rows != ours:
                    raise AnswersDiffer(f"{question} {dict(draw)}: {name} answers {rows[:1]}, Gotong {ours[:1]}")
        if not seen:
            raise AnswersDiffer(f"{question}: nobody answers anything")

    def _answer(self, server: Server, question: str, draw: Draw) -> Any:
        body = json.dumps(_body(server.name, question, draw)).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/graphql", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.load(response)

    def question(self, question: str, draws: Sequence[Draw], plan: Plan) -> Measured:
        """Return a question measured: the servers and the floor take turns, so that a slow minute hits all."""
        measured = Measured()
        floors = self._floors(question, draws)
        for server in self.servers:
            self._turn(server, question, draws, CONNECTIONS_THROUGHPUT, plan.warm_up_s)
        for number in range(plan.rounds):
            for server in _rotated(self.servers, number):
                turn = self._turn(server, question, draws, CONNECTIONS_THROUGHPUT, plan.seconds)
                measured.turns.setdefault(server.name, []).append(turn)
            for name, statements in floors.items():
                turn = floor(self.dsn, statements, plan.seconds, self.postgres)
                measured.turns.setdefault(name, []).append(turn)
        for number in range(plan.latency_rounds):
            for server in _rotated(self.servers, number):
                turn = self._turn(server, question, draws, CONNECTIONS_LATENCY, plan.seconds)
                measured.latency.setdefault(server.name, []).append(turn)
        return measured

    def _floors(self, question: str, draws: Sequence[Draw]) -> dict[str, list[Statement]]:
        draws = draws[::FLOOR_DRAWS_EVERY]
        compiled = [self.statements.of(DOCUMENTS[GOTONG][question], draw) for draw in draws]
        taken_apart = [{**draw, **variables("", draw)} for draw in draws]
        flat = [
            Statement(FLAT[question].format(**{name: literal(value) for name, value in draw.items()}), [])
            for draw in taken_apart
        ]
        floors = {FLOOR: compiled, FLAT_ROWS: flat}
        if question == "text":
            floors[PLAIN_GIN] = [
                Statement(each.sql.replace("need_search", "peer.plain_search"), each.values) for each in compiled
            ]
        return floors

    def _turn(
        self, server: Server, question: str, draws: Sequence[Draw], connections: int, seconds: float
    ) -> dict[str, float]:
        bodies = [_body(server.name, question, draw) for draw in draws]
        given = {"port": server.port, "bodies": bodies, "connections": connections, "seconds": seconds}
        server_s, postgres_s = server.cpu_s(), self.postgres.cpu_s()
        done = subprocess.run(
            [sys.executable, "-m", "bench.read.client"], input=json.dumps(given), capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{server.name}, {question}: {done.stderr[-2000:]}")
        turn: dict[str, float] = json.loads(done.stdout)
        turn["server_us"] = (server.cpu_s() - server_s) / turn["requests"] * 1e6
        turn["postgres_us"] = (self.postgres.cpu_s() - postgres_s) / turn["requests"] * 1e6
        return turn


def _body(server: str, question: str, draw: Draw) -> dict[str, Any]:
    return {"query": DOCUMENTS[server][question], "variables": dict(variables(server, draw))}


def _rotated(servers: Sequence[Server], number: int) -> list[Server]:
    """Return the servers beginning with another one each round."""
    start = number % len(servers)
    return [*servers[start:], *servers[:start]]
