"""Prices: what a model's tokens cost, as the user says; what is not said is unknown."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from coordgate.errors import ConfigurationError

_MILLION = 1_000_000
_SNAPSHOT = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$")
"""What vendors put behind a model's name for one day's version of it."""

_NEEDED = ("input", "output")

_INCLUDED = frozenset({"reasoning", "text"})
"""Details of usage whose tokens cost what the others do."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs, in US dollars for a million tokens."""

    input: float
    """Tokens sent."""
    output: float
    """Tokens received, those of its reasoning too."""
    cached_input: float | None = None
    """Tokens sent that the vendor had in its cache; None: what `input` costs."""
    cache_write: float | None = None
    """Tokens sent that the vendor put into its cache; None: what `input` costs."""

    def __post_init__(self) -> None:
        """Refuse what is not an amount."""
        for each in fields(self):
            value: object = getattr(self, each.name)
            if value is None and each.name.startswith("cache"):
                continue
            if type(value) is int:
                value = float(value)
            if not isinstance(value, float) or not 0 <= value < math.inf:
                raise ConfigurationError(
                    f"Price({each.name}={value!r}): give US dollars for a million tokens, from 0"
                )


class Prices:
    """A table of models and what they cost. coordgate ships none: prices are yours to state.

    A name stands for its dated versions too: `small` also for `small-2026-01-31`.
    """

    def __init__(self, table: Mapping[str, Price | Mapping[str, float]]) -> None:
        """Take prices by the model's name.

        Raises:
            ConfigurationError: an entry is not a price.
        """
        self._table = {name: _price(name, given) for name, given in table.items()}

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"Prices({self._table!r})"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Prices:
        """Read a TOML file: for each model a table `[models."NAME"]` with `input` and `output`.

        Raises:
            ConfigurationError: it cannot be read, or holds something else.
        """
        try:
            with Path(path).open("rb") as file:
                read = tomllib.load(file)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: is not TOML: {error}") from error
        models = read.pop("models", None)
        if read or not isinstance(models, dict):
            raise ConfigurationError(
                f'{path}: a file of prices has tables [models."NAME"] and nothing else, each with '
                "input and output, in US dollars for a million tokens"
            )
        try:
            return cls(cast("dict[str, Any]", models))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error

    def of(self, model: str | None) -> Price | None:
        """Return what a model costs; None if the table does not say."""
        if model is None:
            return None
        return self._table.get(model) or self._table.get(_SNAPSHOT.sub("", model))

    def cost(
        self,
        model: str | None,
        tokens_in: int | None,
        tokens_out: int | None,
        details: Mapping[str, int],
    ) -> float | None:
        """Return what a call cost, in US dollars; None if any part of that is unknown.

        `details` are the tokens among these that have a price of their own: `cache_read`,
        `cache_creation`. Those of a kind that the table has no price for make the cost unknown.
        """
        price = self.of(model)
        if price is None or tokens_in is None or tokens_out is None:
            return None
        read, written = details.get("cache_read", 0), details.get("cache_creation", 0)
        if details.keys() - _INCLUDED - {"cache_read", "cache_creation"}:
            return None
        cached = price.input if price.cached_input is None else price.cached_input
        writing = price.input if price.cache_write is None else price.cache_write
        plain = tokens_in - read - written
        sent = plain * price.input + read * cached + written * writing
        return (sent + tokens_out * price.output) / _MILLION


def as_prices(given: object) -> Prices | None:
    """Return a table of prices as it is given: as one, as a dict, or as the path of a TOML file.

    Raises:
        ConfigurationError: it is something else, or an entry is not a price.
    """
    if given is None or isinstance(given, Prices):
        return given
    if isinstance(given, str | os.PathLike):
        return Prices.load(cast("str | os.PathLike[str]", given))
    if isinstance(given, Mapping):
        return Prices(cast("dict[str, Any]", given))
    raise ConfigurationError(
        f"prices={given!r}: give {{'MODEL': {{'input': ..., 'output': ...}}}}, Prices, or the path "
        "of a TOML file"
    )


def _price(name: object, given: object) -> Price:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"prices: {name!r} is no name of a model")
    if isinstance(given, Price):
        return given
    if isinstance(given, Mapping):
        entry = cast("dict[str, Any]", given)
        lacking = [each for each in _NEEDED if each not in entry]
        if lacking:
            raise ConfigurationError(
                f"the price of {name!r} has no {' and no '.join(lacking)}: give both input and "
                "output, in US dollars for a million tokens"
            )
        try:
            return Price(**entry)
        except (TypeError, ConfigurationError) as error:
            raise ConfigurationError(f"the price of {name!r}: {error}") from error
    raise ConfigurationError(
        f"the price of {name!r} is {given!r}; give {{'input': ..., 'output': ...}} in US dollars "
        "for a million tokens"
    )
