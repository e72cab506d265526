"""A real model client against a real server on the loopback that goes wrong when told to."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from calling import ALONE, Chat
from langchain_openai import ChatOpenAI
from llmock.pytest_plugin import LLMock
from pydantic import SecretStr


@pytest.fixture
def chat(llmock: LLMock) -> Iterator[Chat]:
    """Make clients of the server; none repeats a request by itself unless told to."""
    with httpx.Client(limits=ALONE, trust_env=False) as sync:
        asynchronous = httpx.AsyncClient(limits=ALONE, trust_env=False)

        def make(model: str = "small", **given: Any) -> ChatOpenAI:
            settings: dict[str, Any] = {
                "base_url": llmock.base_url(),
                "max_retries": 0,
                "timeout": 10,
                "stream_usage": True,
                "http_client": sync,
                "http_async_client": asynchronous,
                **given,
            }
            return ChatOpenAI(model=model, api_key=SecretStr("none"), **settings)

        yield make
