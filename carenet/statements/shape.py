"""What a decoded CBOR map must look like: payload models as dataclasses whose fields name their rules.

A model is a frozen dataclass derived from `Shape`; each field is `Annotated[type, rule]`, where a rule is a function
that takes the value and its path and raises `StatementError`. A field whose default is None may be absent; unknown
fields are refused. The rules are ours and not a library's, because they decide what replicas accept.

    >>> class Greeting(Shape): ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, ClassVar, Self, get_type_hints

from carenet.encoding import cbor
from carenet.encoding.ids import ID_BYTES, is_name, show_label
from carenet.errors import StatementError

Rule = Callable[[Any, str], Any]


class Shape:
    """Base of the payload models; see the module header."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def parse(cls, value: Any, path: str = "payload") -> Self:
        """Check a decoded map and build the model from it.

        Args:
            value: what `cbor.decode` returned.
            path: how messages name the map.

        Raises:
            StatementError: a missing, unknown or ill-formed field; the message names it and the rule.
        """
        if not isinstance(value, dict):
            raise StatementError(f"{path} is a map")
        rules = _rules(cls)
        unknown = next((key for key in value if key not in rules), None)
        if unknown is not None:
            raise StatementError(f"{path}.{show_label(unknown)} is not a field of it")
        checked = {}
        for name, (rule, optional) in rules.items():
            if name not in value:
                if optional:
                    continue
                raise StatementError(f"{path}.{name} is missing")
            checked[name] = rule(value[name], f"{path}.{name}")
        return cls(**checked)

    def to_map(self) -> dict[str, Any]:
        """The map that `parse` reads back: absent optional fields left out."""
        out = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is MISSING:
                out[field.name] = _plain(value)
        return out

    def encode(self) -> bytes:
        """The map as deterministic CBOR."""
        return cbor.encode(self.to_map())


def _plain(value: Any) -> Any:
    if isinstance(value, Shape):
        return value.to_map()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


_RULES: dict[type[Shape], dict[str, tuple[Rule, bool]]] = {}


def _rules(cls: type[Shape]) -> dict[str, tuple[Rule, bool]]:
    if cls not in _RULES:
        hints = get_type_hints(cls, include_extras=True)
        _RULES[cls] = {
            field.name: (hints[field.name].__metadata__[0], field.default is not MISSING) for field in fields(cls)
        }
    return _RULES[cls]


def raw(length: int) -> Rule:
    """Exactly `length` bytes."""

    def check(value: Any, path: str) -> bytes:
        if not isinstance(value, bytes) or len(value) != length:
            raise StatementError(f"{path} is {length} bytes")
        return value

    return check


def integer(low: int, high: int) -> Rule:
    """An integer in [low, high]."""

    def check(value: Any, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise StatementError(f"{path} is an integer from {low} to {high}")
        return value

    return check


def one_of(*allowed: Any) -> Rule:
    """One of a few values."""

    def check(value: Any, path: str) -> Any:
        if not any(type(value) is type(choice) and value == choice for choice in allowed):
            raise StatementError(f"{path} is one of {', '.join(map(str, allowed))}")
        return value

    return check


def name(value: Any, path: str) -> str:
    """A name: [a-z0-9._-]{1,64}."""
    if not is_name(value):
        raise StatementError(f"{path} is a name: [a-z0-9._-], 1 to 64 characters")
    return str(value)


def boolean(value: Any, path: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise StatementError(f"{path} is true or false")
    return value


def maybe(rule: Rule) -> Rule:
    """Null, or what another rule allows."""

    def check(value: Any, path: str) -> Any:
        return None if value is None else rule(value, path)

    return check


def listing(rule: Rule, low: int, high: int) -> Rule:
    """A list of `low` to `high` items, none repeated, as a tuple."""

    def check(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise StatementError(f"{path} is a list of {low} to {high}")
        items = tuple(rule(item, f"{path}[{place}]") for place, item in enumerate(value))
        if len(set(items)) != len(items):
            raise StatementError(f"{path} repeats an item")
        return items

    return check


def mapping(rule: Rule, low: int, high: int) -> Rule:
    """A map of `low` to `high` names to what another rule allows."""

    def check(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict) or not low <= len(value) <= high:
            raise StatementError(f"{path} is a map of {low} to {high}")
        return {name(key, f"{path} key"): rule(item, f"{path}.{key}") for key, item in value.items()}

    return check


def nested(model: type[Shape]) -> Callable[[Any, str], Any]:
    """A map that is another model."""
    return model.parse


identity = raw(ID_BYTES)
