"""What the demo's tests share: a folder of documents to run beside."""

from pathlib import Path

import pytest


@pytest.fixture
def herons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with documents; the test runs beside it, and no real model is configured."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "birds"
    folder.mkdir()
    (folder / "heron.md").write_text(
        "# Herons\n\nThe heron waits in shallow water for passing fish. It builds a wide nest of "
        "sticks in tall trees.\n\n## Food\n\nHerons eat fish, frogs and voles at dawn.\n"
    )
    (folder / "owl.md").write_text("# Owls\n\nOwls hunt voles at night in old barns.\n")
    return folder
