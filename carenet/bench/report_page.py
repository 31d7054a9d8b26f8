"""The page of the performance report: targets, pictures, runs, and how each figure is measured."""

from __future__ import annotations

from collections.abc import Collection

from carenet.bench.report_pictures import ALT
from carenet.bench.results import Result, Results
from carenet.bench.targets import TARGETS

_HEAD = """\
Written by `carenet bench report` from `performance/results.json`; do not edit. Measured on {machine}. Each figure \
stands beside its bare baseline of the same run.
"""
_OTHER_SIZES = """\
**Of other sizes than the targets are about: {names}.** The runs below say which; their rows show that they run, not \
how fast this is.
"""
_LOAD = """\
Load is how many processes wanted a core in the minute before: well above 0, others were at work too, and rates are \
lower than the machine's. CPU figures suffer less.
"""
_METHODS = """\
## How it is measured

- **fold**: 2,000 patients over 8 partitions; events of 600 bytes of FHIR JSON, which are 608 padded and 1,744 sealed; \
one Kafka, one PostgreSQL, fsync on. The patients are registered and granted before; each round starts from a copy of \
the database from then, with two fold workers started anew, and runs from their first fetch to the last commit. \
Rounds alternate bare pipeline, singly signed, with the entries topic, and batch-signed; the first is a warm-up, \
figures are medians of five. CPU is user and system time of workers, PostgreSQL and Kafka from /proc, ended children \
included. The baseline pipeline is two processes from aiokafka's `getmany` by COPY into a table without an index. \
Verifications are libsodium's Ed25519 on one core, at the length of a real event's Sig_structure, in CPU time: what \
else runs does not make the baseline slow. Publishing: two processes that seal, sign in batches and send with \
acks=all, without spool and outcomes, what is said being there before; its baseline only seals (HPKE) and signs \
(singly) as many bytes. Batches are the SDK's.
- **latency**: one process publishes straight to Kafka and watches through the gateway; bare records of an event's \
size go through plain aiokafka in the same seconds. At half of the fold's limit another process sends as many events a \
second about patients that nobody watches, made before, and two workers fold.
- **fanout**: the same client processes listen to the gateway and to a bare `websockets.broadcast` loop, without \
compression.
- **idle**: the gateway's resident memory before and with watchers that signed in, subscribed and wait.
- **overload**: one publisher offers twice what the node was found to fold, straight to Kafka, and slows down when \
told. That latency is bounded is held as: p99 at most 5 s, where the node begins to refuse at an expected wait of 2 s; \
that it recovers within seconds as: within 5.
- **soak**: one run, memory and rate of its last tenth beside those of its first (memory) and second (rate); starts \
before and after it. That time does not grow is held as: by less than half.

## What no figure shows

Kills, stops, full disks, wrong clocks and builds that are broken on purpose are tests, not benches: they are in \
`tests/faults`, and the long ones run with `make test-long`.
"""


def compose_page(results: Results, folder: str, pictures: Collection[str], other_sizes: Collection[str] = ()) -> str:
    """The page as Markdown.

    Args:
        results: of as many benches as there are.
        folder: of the pictures, relative to the page's.
        pictures: names of those that were drawn.
        other_sizes: benches that were run with other sizes than the targets are about.
    """
    parts = [
        "# Performance\n",
        _HEAD.format(machine=results.machine.describe()),
        *([_OTHER_SIZES.format(names=", ".join(other_sizes))] if other_sizes else []),
        _table(("target", "figure", "baseline", "held against the target", "met"), [t.row(results) for t in TARGETS]),
        *(f"![{ALT[name]}]({folder}/{name}.svg)\n" for name in pictures),
        "## Runs\n",
        _LOAD,
        _table(("bench", "when (UTC)", "load", "result"), [_run_row(each) for each in results.by_name.values()]),
        _METHODS,
    ]
    return "\n".join(parts)


def _run_row(result: Result) -> tuple[str, ...]:
    said = f"failed: {result.error}" if result.error else "measured"
    return f"`carenet bench {' '.join(result.command)}`", result.date, f"{result.load:g}", said.replace("|", "/")


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
