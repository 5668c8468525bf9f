"""What a step did and what it brought, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table

from training.compress.compare import BATCH_SIZE, LINE_WIDTH, Figures


@dataclass(frozen=True, slots=True)
class Report:
    """step: its name; details: what it says of itself; models: figures before it and after it, or of those compared."""

    step: str
    details: dict[str, Any]
    models: tuple[Figures, ...]


def as_json(report: Report) -> dict[str, Any]:
    """The report, with means over the sets and ratios to the first model."""
    first = report.models[0]
    models = [
        asdict(model) | {"exact": model.exact, "cer": model.cer, "ratios": _ratios(model, first)}
        for model in report.models
    ]
    return {"step": report.step, "details": report.details, "models": models}


def tables(report: Report, style: box.Box = box.SIMPLE_HEAD) -> Iterator[Table]:
    """Details, costs with their ratios to the first model, and accuracy per set."""
    if report.details:
        yield _details(report.details, style)
    yield _costs(report.models, style)
    if report.models[0].sets:
        yield _accuracy(report.models, style)


def _details(details: dict[str, Any], style: box.Box) -> Table:
    table = Table("Step", "Value", box=style)
    for name, value in details.items():
        table.add_row(name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return table


def _costs(models: Sequence[Figures], style: box.Box) -> Table:
    table = Table("Model", box=style)
    for title in ("MB", "load ms", f"{LINE_WIDTH} px line, ms", f"each of {BATCH_SIZE}, ms", "exact", "CER"):
        table.add_column(title, justify="right")
    for model in models:
        ratios = _ratios(model, models[0])
        costs = (f"{getattr(model, name):.2f} ({ratio:.2f})" for name, ratio in ratios.items())
        table.add_row(model.model, *costs, _share(model.exact), _share(model.cer))
    return table


def _accuracy(models: Sequence[Figures], style: box.Box) -> Table:
    table = Table("Set", "Lines", box=style)
    for model in models:
        table.add_column(f"exact {model.model}", justify="right")
        table.add_column("CER", justify="right")
    for scores in zip(*(model.sets for model in models), strict=True):
        figures = (_share(value) for score in scores for value in (score.exact_norm, score.cer_norm))
        table.add_row(scores[0].name, str(scores[0].lines), *figures)
    return table


def _ratios(model: Figures, first: Figures) -> dict[str, float]:
    costs = ("size_mb", "load_ms", "line_ms", "batch_line_ms")
    return {name: getattr(model, name) / getattr(first, name) for name in costs}


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
