"""Failures 1, 2, 3 and 13 of `docs/why.md`: what a node hands over is not what the state says."""

from collections.abc import Callable
from typing import Any

import pytest
from callers import Caller
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, ValidationError, field_validator
from typing_extensions import TypedDict

from coordgate import Contract, ContractViolation, NodeGuard, guard


class Order(BaseModel):
    """A state that pydantic checks when a node reads it, not when a node writes it."""

    count: int = 0
    shipped: str = ""


def read(order: Order) -> dict[str, Any]:
    """Hand over a word for a number, unless the number is known."""
    return {"count": "many"} if order.count < 10 else {"count": order.count}


def ship(order: Order) -> dict[str, Any]:
    """Use the number."""
    return {"shipped": f"{order.count} boxes"}


def orders(caller: Caller) -> StateGraph[Any]:
    """Return the graph read -> ship."""
    builder = StateGraph(Order)
    builder.add_node("read", caller.node(read))
    builder.add_node("ship", caller.node(ship))
    return builder.add_edge(START, "read").add_edge("read", "ship")


def uses(app: Any, caller: Caller, thread: str) -> list[Callable[[], Any]]:
    """Return everything that one may want to do with a thread after a failed run."""
    config = caller.thread(thread)
    return [
        lambda: app.get_state(config),
        lambda: list(app.get_state_history(config)),
        lambda: app.update_state(config, {"count": 12}),
        lambda: caller.invoke(app, None, thread),
        lambda: caller.invoke(app, {"count": 12}, thread),
    ]


def test_1_a_bad_value_does_not_cost_the_thread(caller: Caller) -> None:
    """Bare, nothing can be done with the thread any more; guarded, everything can."""
    bare = orders(caller).compile(checkpointer=caller.saver)
    with pytest.raises(ValidationError):
        caller.invoke(bare, {"count": 1}, "bare")
    for use in uses(bare, caller, "bare"):
        with pytest.raises(ValidationError, match="count"):
            use()

    app = guard(orders(caller)).compile(checkpointer=caller.saver)
    with pytest.raises(ContractViolation, match="count"):
        caller.invoke(app, {"count": 1}, "guarded")
    look, history, mend, resume, new_turn = uses(app, caller, "guarded")
    assert (look().values["count"], look().next) == (1, ("read",))
    assert [state.values.get("count") for state in history()] == [1, None]
    mend()
    assert look().values["count"] == 12
    assert resume()["shipped"] == "12 boxes"
    assert new_turn()["shipped"] == "12 boxes"


class PriceModel(BaseModel):
    """A price, in pydantic."""

    price: float


class PriceDict(TypedDict):
    """The same, as a TypedDict."""

    price: float


@pytest.mark.parametrize("schema", [PriceModel, PriceDict])
def test_2_a_graph_does_not_return_what_breaks_its_own_type(caller: Caller, schema: Any) -> None:
    """Bare, a word for a float is returned and persisted; guarded, neither."""

    def price(state: Any) -> dict[str, Any]:
        return {"price": "foo"}

    def graph() -> StateGraph[Any]:
        return StateGraph(schema).add_node("price", caller.node(price)).add_edge(START, "price")

    bare = graph().compile(checkpointer=caller.saver)
    assert caller.invoke(bare, {"price": 1.5}, "bare") == {"price": "foo"}
    assert bare.get_state(caller.thread("bare")).values == {"price": "foo"}

    app = guard(graph()).compile(checkpointer=caller.saver)
    with pytest.raises(ContractViolation, match="price"):
        caller.invoke(app, {"price": 1.5}, "guarded")
    assert app.get_state(caller.thread("guarded")).values == {"price": 1.5}


def test_3_the_error_names_the_producer(caller: Caller) -> None:
    """Bare, the error names the consumer alone; guarded, it names who wrote the value."""
    with pytest.raises(ValidationError) as bare:
        caller.invoke(orders(caller).compile(), {"count": 1})
    told = "\n".join([str(bare.value), *bare.value.__notes__])
    assert "'ship'" in told
    assert "'read'" not in told

    with pytest.raises(ContractViolation) as guarded:
        caller.invoke(guard(orders(caller)).compile(), {"count": 1})
    assert guarded.value.node == "read"
    assert guarded.value.violations[0].key == "count"
    assert "many" in guarded.value.violations[0].value


class Address(BaseModel):
    """A state whose validator cleans what it reads."""

    email: str = ""
    sent_to: str = ""

    @field_validator("email")
    @classmethod
    def clean(cls, value: str) -> str:
        """Trim and lower."""
        return value.strip().lower()


class Found(BaseModel):
    """What `find` hands over: the same rule, declared on the node."""

    email: str

    @field_validator("email")
    @classmethod
    def clean(cls, value: str) -> str:
        """Trim and lower."""
        return value.strip().lower()


def test_13_what_a_validator_makes_of_a_value_is_what_is_persisted(caller: Caller) -> None:
    """Bare, the next node sees another value than is persisted; guarded, there is one value."""

    def find(state: Address) -> dict[str, Any]:
        return {"email": "  Ann@Example.ORG "}

    def send(state: Address) -> dict[str, Any]:
        return {"sent_to": state.email}

    def graph() -> StateGraph[Any]:
        builder = StateGraph(Address)
        builder.add_node("find", caller.node(find)).add_node("send", caller.node(send))
        return builder.add_edge(START, "find").add_edge("find", "send")

    def kept(app: Any, thread: str) -> dict[str, Any]:
        caller.invoke(app, {}, thread)
        return dict(app.get_state(caller.thread(thread)).values)

    bare = graph().compile(checkpointer=caller.saver)
    assert kept(bare, "bare") == {"email": "  Ann@Example.ORG ", "sent_to": "ann@example.org"}

    nodes = {"find": NodeGuard(contract=Contract(returns=Found))}
    app = guard(graph(), nodes=nodes).compile(checkpointer=caller.saver)
    assert kept(app, "guarded") == {"email": "ann@example.org", "sent_to": "ann@example.org"}
