"""The past, without a model: recorded runs served again, and today's gates over what was recorded.

`coordgate replay` and `coordgate backtest` stand on it. What a node handed over is read back from
its recorded JSON text, and nothing that is read back is executed.
"""
