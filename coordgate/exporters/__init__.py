"""Exporters: where records go that other tools read."""
