"""The names of everything that is sent, so that a release of another package cannot change them.

The `gen_ai.*` names are those of OpenTelemetry's semantic conventions 1.44.0 (in Python,
opentelemetry-semantic-conventions 0.66b2), where their status is Development; they are being moved
to conventions of their own. `coordgate.*` is for what those have no name for.
"""

from __future__ import annotations

from typing import Final

SEMCONV: Final = "1.44.0"
"""The version of OpenTelemetry's semantic conventions that the names below are of."""

SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/{SEMCONV}"

# OpenInference, which Phoenix, MLflow and others read: what a span is, was given and gave.

KIND: Final = "openinference.span.kind"
INPUT: Final = "input.value"
OUTPUT: Final = "output.value"

CHAIN: Final = "CHAIN"
GUARDRAIL: Final = "GUARDRAIL"
LLM: Final = "LLM"
RETRIEVER: Final = "RETRIEVER"
TOOL: Final = "TOOL"

# OpenTelemetry

SESSION: Final = "session.id"
ERROR_TYPE: Final = "error.type"
EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

OPERATION: Final = "gen_ai.operation.name"
INVOKE_WORKFLOW: Final = "invoke_workflow"
CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
EXECUTE_TOOL: Final = "execute_tool"
RETRIEVAL: Final = "retrieval"

CONVERSATION: Final = "gen_ai.conversation.id"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL: Final = "gen_ai.tool.call.id"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"

OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - a name

# coordgate

RUN: Final = "coordgate.run.id"
RUN_STATUS: Final = "coordgate.run.status"
MODE: Final = "coordgate.mode"
GRAPH: Final = "coordgate.graph"
NODE: Final = "coordgate.node.name"
NODE_STATUS: Final = "coordgate.node.status"
NUMBER: Final = "coordgate.node.number"
NAMESPACE: Final = "coordgate.node.namespace"
STEP: Final = "coordgate.node.step"
PRODUCERS: Final = "coordgate.node.producers"
GOTO: Final = "coordgate.node.goto"
ATTEMPTS: Final = "coordgate.node.attempts"
ATTEMPT: Final = "coordgate.attempt.number"
RUNG: Final = "coordgate.attempt.rung"
OUTCOME: Final = "coordgate.attempt.outcome"
REASONS: Final = "coordgate.attempt.reasons"
DECISION: Final = "coordgate.attempt.decision"
DECIDED_BY: Final = "coordgate.attempt.by"
COST: Final = "coordgate.attempt.cost"
GATE: Final = "coordgate.gate.name"
PASSED: Final = "coordgate.gate.passed"
SCORE: Final = "coordgate.gate.score"
REASON: Final = "coordgate.gate.reason"
LINK: Final = "coordgate.link"

ATTEMPT_COUNT: Final = "coordgate.attempts"
VERDICT_COUNT: Final = "coordgate.verdicts"
TOKEN_COUNT: Final = "coordgate.tokens"  # noqa: S105 - a name
WASTED_TOKENS: Final = "coordgate.tokens.wasted"
NODE_DURATION: Final = "coordgate.node.duration"
RUN_DURATION: Final = "coordgate.run.duration"
