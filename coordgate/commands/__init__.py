"""The commands of the command line, one module each: `add_arguments(parser)` and `run(arguments)`.

`coordgate.cli` holds their table, and loads a module when its command is asked for. `run` returns
the exit code; a `CoordgateError`, or an `ImportError` that names an extra, becomes one line on
stderr and code 2.
"""
