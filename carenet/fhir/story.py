"""The demo's own story, since a stranger has no data: a few invented patients, told scene by scene.

Each patient is seen at a visit, has blood taken, is prescribed medicines and fetches them; then some get worse at home
(falling SpO₂, rising heart rate, a rising NEWS2) and arrive at the emergency room, and the others get better and are
seen again. The same seed tells the same story, byte for byte; another seed tells a new one about the same people.

    >>> [act.actor for scene in Story(seed=1, patients=1) for act in scene.acts][:2]
    ['dr-lee', 'dr-lee']
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Literal

from carenet.fhir.news2 import HIGH_RISK, MEDIUM_RISK, Vitals, score_news2
from carenet.fhir.story_resources import ChartWriter, load_catalogue
from carenet.fhir.summary import headline

MIN_EVENTS = 40  # one patient's story told once, without repetition
START_MS = 1_767_947_400_000  # 2026-01-09 08:30 UTC: a fixed day, or one seed would tell different stories

Actor = Literal["dr-lee", "dr-okafor", "lab", "pharmacy"]
_LEE: Actor = "dr-lee"
_OKAFOR: Actor = "dr-okafor"
_LAB: Actor = "lab"
_PHARMACY: Actor = "pharmacy"

_ROUND = 5  # acts in one round of watching: four vital signs and their score
_ROUNDS = 3
_QUICK_S, _STEP_S, _PAUSE_S = 0.05, 0.15, 0.5  # between readings of one device; between steps; before a new scene


@dataclass(frozen=True, slots=True)
class Person:
    """A patient of the story.

    Attributes:
        key: the local name, e.g. `ada-byrne`; also the Patient's id.
        given: given name.
        family: family name.
        gender: FHIR administrative gender.
        born: birth date, ISO 8601.
        problem: a problem of `story.toml`.
        arc: `worse` or `better`.
    """

    key: str
    given: str
    family: str
    gender: str
    born: str
    problem: str
    arc: str


@dataclass(frozen=True, slots=True)
class Act:
    """One event of the story.

    Attributes:
        actor: who publishes it.
        patient: the key of the patient it is about.
        resource: FHIR R4 JSON.
        headline: one line for people.
        delay_s: a hint how long to wait before it, in seconds at normal pace.
    """

    actor: Actor
    patient: str
    resource: dict[str, Any] = field(repr=False)
    headline: str = field(repr=False)
    delay_s: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Acts that belong together.

    Attributes:
        kind: `visit`, `labs`, `prescriptions`, `watching`, `deterioration`, `arrival` or `follow-up`.
        patient: the key of the patient it is about.
        acts: in order.
    """

    kind: str
    patient: str
    acts: tuple[Act, ...]


class Story:
    """Scenes of all patients, interleaved as on a working day.

    Args:
        seed: not negative; the same seed tells the same story.
        patients: how many people it is about.
        events: acts for each patient, at least `MIN_EVENTS`; more are more rounds of watching.
        start_ms: when it begins, ms since 1970; a story spans about two days.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(self, seed: int, patients: int = 6, *, events: int = MIN_EVENTS, start_ms: int = START_MS) -> None:
        if seed < 0 or patients < 1 or events < MIN_EVENTS:
            raise ValueError(
                f"a story has a seed of 0 or more, a patient or more, and {MIN_EVENTS} events or more each"
            )
        self._seed = seed
        self._events = events
        self._start_ms = start_ms
        self.patients = tuple(_choose_person(i) for i in range(patients))

    def __iter__(self) -> Iterator[Scene]:
        """One scene of each patient in turn; each iteration tells the story from the beginning."""
        running = [_Chart(person, self._seed, self._start_ms).scenes(self._events) for person in self.patients]
        while running:
            still = []
            for scenes in running:
                scene = next(scenes, None)
                if scene is not None:
                    yield scene
                    still.append(scenes)
            running = still


def _choose_person(index: int) -> Person:
    """The catalogue's people first; then their given names with one another's family names, numbered if need be."""
    people = load_catalogue()["people"]
    turn, at = divmod(index, len(people))
    base = people[at]
    family = people[(at + turn) % len(people)]["family"]
    again = turn // len(people)
    key = f"{base['given']}-{family}".lower().translate(_PLAIN) + (f"-{again + 1}" if again else "")
    return Person(key, base["given"], family, base["gender"], base["born"], base["problem"], base["arc"])


_PLAIN = str.maketrans("áéíóúčñ", "aeioucn")  # keys are ids: letters, digits and hyphens


class _Chart:
    """One patient's story."""

    def __init__(self, person: Person, seed: int, start_ms: int) -> None:
        self._person = person
        self._random = Random(f"{seed}/{person.key}")  # noqa: S311 - a story, not a secret
        self._writer = ChartWriter(person.key, f"{seed:x}", start_ms + self._random.randrange(60) * 60_000)
        self._acts: list[Act] = []
        self._prescribed: list[tuple[str, dict[str, Any]]] = []
        draw = self._random.randint
        self._well = Vitals(draw(64, 86), draw(13, 18), draw(96, 98), self._random.uniform(36.4, 37.1), draw(118, 148))
        self._ill = Vitals(draw(114, 128), draw(26, 29), draw(86, 90), self._random.uniform(38.6, 39.2), 0)
        self._weight_kg = self._random.uniform(54, 96)
        self._pressure: dict[str, Any] = {}

    def scenes(self, events: int) -> Iterator[Scene]:
        """The scenes in order, `events` acts in all."""
        problem = load_catalogue()["problems"][self._person.problem]
        worse = self._person.arc == "worse"
        yield self._scene("visit", self._visit)
        yield self._scene("labs", partial(self._labs, problem["panel"]))
        yield self._scene("prescriptions", partial(self._prescribe, problem["medications"]))
        extra = events - MIN_EVENTS
        while extra > 0:
            yield self._scene("watching", partial(self._watch, 0.0), limit=extra)
            extra -= _ROUND
        for number in range(1, _ROUNDS + 1):
            severity = number / _ROUNDS if worse else 0.0
            kind = "deterioration" if worse else "watching"
            yield self._scene(kind, partial(self._watch, severity))
        yield self._scene("arrival", self._arrive) if worse else self._scene("follow-up", self._follow_up)

    def _scene(self, kind: str, tell: Callable[[], None], limit: int | None = None) -> Scene:
        self._acts = []
        tell()
        return Scene(kind, self._person.key, tuple(self._acts[:limit]))

    def _add(self, actor: Actor, resource: dict[str, Any], delay_s: float = _STEP_S) -> dict[str, Any]:
        wait = delay_s if self._acts else _PAUSE_S
        self._acts.append(Act(actor, self._person.key, resource, headline(resource), wait))
        return resource

    def _visit(self) -> None:
        write, random = self._writer, self._random
        person = {"given": self._person.given, "family": self._person.family}
        person |= {"gender": self._person.gender, "born": self._person.born}
        self._add(_LEE, write.patient(person))
        self._add(_LEE, write.encounter("AMB", "ambulatory", _LEE))
        write.advance(5)
        now = self._measure(0.0)
        self._add(_LEE, write.vital("heart-rate", now.heart_rate, _LEE))
        self._pressure = write.blood_pressure(self._well.systolic, random.randint(68, 92), _LEE)
        self._add(_LEE, self._pressure, _QUICK_S)
        self._add(_LEE, write.vital("respiratory-rate", now.respiratory_rate, _LEE), _QUICK_S)
        self._add(_LEE, write.vital("temperature", now.temperature, _LEE), _QUICK_S)
        self._add(_LEE, write.vital("spo2", now.spo2, _LEE), _QUICK_S)
        self._add(_LEE, write.vital("weight", self._weight_kg, _LEE), _QUICK_S)
        write.advance(10)
        self._add(_LEE, write.condition(self._person.problem, _LEE))
        self._add(_LEE, write.allergy(random.choice(load_catalogue()["allergies"]), _LEE))

    def _labs(self, panel: str) -> None:
        write = self._writer
        write.advance(5)
        order = self._add(_LEE, write.order(panel, _LEE))
        write.advance(150)
        names = load_catalogue()["panels"][panel]["tests"]
        results = [self._add(_LAB, write.test(name, self._draw(name), _LAB, order), _QUICK_S) for name in names]
        self._add(_LAB, write.report(panel, order, results, _LAB))

    def _draw(self, name: str) -> float:
        """A believable result: mostly inside the reference range, at times a little outside."""
        catalogue = load_catalogue()
        kind = catalogue["tests"][name]
        if name in catalogue["problems"][self._person.problem].get("raised", ()):
            return float(kind["high"]) * self._random.uniform(1.15, 1.6)
        middle, width = (kind["low"] + kind["high"]) / 2, kind["high"] - kind["low"]
        drawn: float = middle + self._random.uniform(-0.5, 0.5) * width * kind["spread"]
        return max(drawn, 0.0)

    def _prescribe(self, medications: list[str]) -> None:
        write = self._writer
        write.advance(20)
        self._prescribed = [(name, self._add(_LEE, write.prescription(name, _LEE))) for name in medications]
        write.advance(55)
        for name, prescription in self._prescribed:
            self._add(_PHARMACY, write.dispense(prescription, name, _PHARMACY))
        write.leave()

    def _watch(self, severity: float) -> None:
        """A round of vital signs at home. severity: 0 is well, 1 is an emergency."""
        write = self._writer
        write.advance(240)
        vitals = self._measure(severity)
        readings = [
            self._add(_OKAFOR, write.vital("spo2", vitals.spo2, _OKAFOR)),
            self._add(_OKAFOR, write.vital("heart-rate", vitals.heart_rate, _OKAFOR), _QUICK_S),
            self._add(_OKAFOR, write.vital("respiratory-rate", vitals.respiratory_rate, _OKAFOR), _QUICK_S),
            self._add(_OKAFOR, write.vital("temperature", vitals.temperature, _OKAFOR), _QUICK_S),
        ]
        score = score_news2(vitals)
        risk = "HH" if score >= HIGH_RISK else "H" if score >= MEDIUM_RISK else ""
        self._add(_OKAFOR, write.news2(score, risk, [*readings, self._pressure], _OKAFOR))

    def _measure(self, severity: float) -> Vitals:
        """Between well and ill, with a little noise, less than a step of the deterioration."""

        def between(name: str, noise: float) -> float:
            well, ill = getattr(self._well, name), getattr(self._ill, name)
            blended: float = well + (ill - well) * severity + self._random.uniform(-noise, noise)
            return blended

        return Vitals(
            heart_rate=round(between("heart_rate", 2.5)),
            respiratory_rate=round(between("respiratory_rate", 1)),
            spo2=min(round(between("spo2", 0.4 if severity else 1)), 100),
            temperature=round(between("temperature", 0.15), 1),
            systolic=self._well.systolic,
        )

    def _arrive(self) -> None:
        write, random = self._writer, self._random
        write.advance(45)
        self._add(_OKAFOR, write.encounter("EMER", "emergency", _OKAFOR))
        write.advance(10)
        self._add(_OKAFOR, write.blood_pressure(random.randint(92, 104), random.randint(52, 60), _OKAFOR))
        self._add(_LAB, write.test("lactate", random.uniform(2.6, 4.4), _LAB))
        self._add(_OKAFOR, write.condition("pneumonia", _OKAFOR))

    def _follow_up(self) -> None:
        write, random = self._writer, self._random
        write.advance(60 * 20)
        self._add(_LEE, write.encounter("VR", "virtual", _LEE))
        self._add(_LAB, write.test("crp", random.uniform(0.4, 4.0), _LAB))
        name, prescription = self._prescribed[0]
        self._add(_LEE, write.vital("weight", self._weight_kg, _LEE))
        self._add(_PHARMACY, write.dispense(prescription, name, _PHARMACY))
