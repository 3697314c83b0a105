"""The results of a sweep as tables: one row a run, and statistics over the seeds of each setting."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxgan.errors import UserError
from jaxgan.evaluation.naming import number_of
from jaxgan.metrics.number import Number
from jaxgan.run.record import read_record

Frame = Any  # a pandas.DataFrame; pandas is imported late

CONFIDENCE = 0.95
ALPHA = 0.05  # p-values below it are called significant
MIN_SEEDS = 3  # for an interval: two values say almost nothing about the spread
_RESAMPLES = 9_999
_MARK = "discriminator_loss"  # lines of metrics.jsonl without it are evaluations
_COLUMNS = "metric setting n mean low high stderr median failed difference p best".split()
_IN_TRAINING = ("generator_loss", "discriminator_loss", "diversity")  # shown if nothing is evaluated


class Results(NamedTuple):
    """The content of a sweep's folder.

    Attributes:
      record: `sweep.json`.
      runs: one row a run: run, setting, the swept fields, seed, status ('done', 'diverged', 'failed' or
        'open'), step, seconds, reason, and the last value of every metric.
      curves: long: setting, seed, step, metric, value.
      fields: those that are swept, without the seed.
      metrics: the numbers to show: those of the evaluations, or some of the training.
      evaluated: whether they are from evaluations. Numbers from training are not compared, because losses of
        different games are not comparable.
      labels: setting → a short name.
      num_modes: the largest number of modes of a data set of the sweep, if known.
    """

    record: dict[str, Any]
    runs: Frame
    curves: Frame
    fields: list[str]
    metrics: list[str]
    evaluated: bool
    labels: dict[str, str]
    num_modes: int | None = None

    @property
    def settings(self) -> list[str]:
        """In the plan's order."""
        return list(self.labels)


def read(workdir: Path) -> Results:
    """Reads a sweep, finished or not.

    Raises:
      UserError: there is none.
    """
    import pandas as pd

    path = workdir / "sweep.json"
    if not path.exists():
        raise UserError(f"{workdir} holds no sweep (no sweep.json): give the --workdir of one")
    record = json.loads(path.read_text(encoding="utf-8"))
    described, rows, curves, evaluated, num_modes = record["runs"], [], [], {}, set()
    fields = list(dict.fromkeys(field for run in described for field in run["values"]))
    for number, part in enumerate(record["parts"]):
        outcomes = _outcomes(workdir / "parts" / f"{number:04d}", len(part))
        for i, outcome in zip(part, outcomes, strict=True):
            run = described[i]
            values = {field: _value(run, field) for field in fields}
            row = {"index": i, "run": run["name"], "setting": run["setting"], **values, "seed": run["seed"]}
            row |= {name: outcome.get(name) for name in ("status", "step", "seconds", "reason")}
            for line in _lines(workdir / "runs" / run["name"] / "metrics.jsonl", run["config"]["num_steps"]):
                step = line.pop("step")
                numbers = {name: value for name, value in line.items() if isinstance(value, int | float)}
                numbers.pop("images_per_second", None)
                if _MARK not in numbers:
                    evaluated |= dict.fromkeys(numbers)
                row |= numbers
                curves += [(run["setting"], run["seed"], step, name, x) for name, x in numbers.items()]
            rows.append(row)
            num_modes |= _num_modes(workdir / "runs" / run["name"])
    runs = pd.DataFrame(rows).sort_values("index").drop(columns="index").reset_index(drop=True)
    shown = list(evaluated) or [name for name in _IN_TRAINING if name in runs]
    settings = list(dict.fromkeys(run["setting"] for run in described))
    curves = pd.DataFrame(curves, columns=["setting", "seed", "step", "metric", "value"])
    names = _labels(described, settings)
    return Results(record, runs, curves, fields, shown, bool(evaluated), names, max(num_modes, default=None))


def find_baseline(settings: list[str], name: str) -> str:
    """The setting with this name, or the only one with this part of a name.

    Raises:
      UserError: there is none, or there are several.
    """
    settings = list(dict.fromkeys(settings))
    if not name:
        return settings[0]
    found = [setting for setting in settings if setting == name]
    found = found or [setting for setting in settings if name in setting]
    if len(found) != 1:
        raise UserError(
            f"--baseline='{name}' fits {len(found)} settings; there are: {'; '.join(settings[:8])}"
        )
    return found[0]


def summarize(results: Results, baseline: str) -> Frame:
    """Statistics of every number and setting, over the seeds that finished.

    Columns: metric, setting, n, mean, low, high (a 95 % interval, Student's t), stderr (the standard error
    of the mean), median, failed (share of the runs that ended and did not finish), difference (mean of the
    paired differences from the baseline), p, best (see `find_best`), p_corrected. Only numbers of evaluations
    are tested.

    The test is a permutation test of paired differences (all sign flips, or 9,999 drawn ones): the same seed
    of both settings is a pair. p_corrected is for all comparisons of the table, by Holm 1979: A simple
    sequentially rejective multiple test procedure.
    """
    import pandas as pd

    rows = []
    for metric in results.metrics:
        finished = {setting: _finished(results, setting, metric) for setting in results.settings}
        best = find_best(finished, number_of(metric)) if results.evaluated else ""
        for setting, values in finished.items():
            runs = results.runs[results.runs.setting == setting]
            ended = runs[runs.status != "open"]
            low, high = interval(values.to_numpy(), *range_of(metric, results.num_modes))
            row = {"metric": metric, "setting": setting, "n": len(values), "mean": values.mean()}
            row |= {"low": low, "high": high, "stderr": values.sem(), "median": values.median()}
            row["failed"] = float((ended.status != "done").mean()) if len(ended) else math.nan
            row |= {"difference": math.nan, "p": math.nan, "best": setting == best}
            if setting != baseline and results.evaluated:
                differences = _differences(values, finished[baseline])
                if len(differences) > 1:
                    row |= {"difference": differences.mean(), "p": paired_test(differences)}
            rows.append(row)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table["p_corrected"] = holm(table.p.to_numpy(float))
    return table


def range_of(metric: str, num_modes: int | None) -> tuple[float, float]:
    """The range of the number with this name, for data with so many modes."""
    number = number_of(metric)
    if number is None:
        return -math.inf, math.inf
    return number.low, num_modes if number.counts_modes and num_modes else number.high


def find_best(finished: dict[str, Frame], number: Number | None) -> str:
    """The setting that is significantly better than every other; else ''.

    It is better than each of the others by the one-sided paired test, and p is the largest of these
    (an intersection-union test: Berger 1982, Multiparameter Hypothesis Testing and Acceptance Sampling). Any
    of the n settings could have been the best one, so p is multiplied by n (Bonferroni).

    Args:
      finished: setting → the values of its seeds that finished, by seed.
      number: what the number means; None, or one of no direction, has no best.
    """
    known = {setting: values for setting, values in finished.items() if len(values)}
    if len(known) < 2 or number is None or not number.better:
        return ""
    sign = 1 if number.better == "higher" else -1
    best = max(known, key=lambda setting: sign * known[setting].mean())
    for other in known.keys() - {best}:
        differences = sign * _differences(known[best], known[other])
        if len(differences) < 2 or differences.mean() <= 0:
            return ""
        if len(known) * paired_test(differences) / 2 >= ALPHA:
            return ""
    return best


def _differences(values: Frame, others: Frame) -> np.ndarray:
    """The differences for the seeds that both have."""
    pairs = values.index.intersection(others.index)
    return (values[pairs] - others[pairs]).to_numpy()


def _finished(results: Results, setting: str, metric: str) -> Frame:
    """The values of the seeds that finished, by seed."""
    runs = results.runs[(results.runs.setting == setting) & (results.runs.status == "done")]
    return runs.set_index("seed")[metric].astype(float).dropna() if metric in runs else runs.seed[:0]


def interval(
    values: Float[np.ndarray, " n"], low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """The 95 % interval of the mean by Student's t: m ± t(n - 1)·s/√n, NaN of fewer than 3 values.

    For normal data its coverage is 95 % for any number of values. A bootstrap is too narrow: with 5 values
    the accelerated one (BCa) covers 84 %.

    Args:
      values: `[n]`.
      low, high: the range of possible values, to which the interval is clipped.

    Source: Student 1908, The Probable Error of a Mean.
    """
    from scipy import stats

    if len(values) < MIN_SEEDS:
        return math.nan, math.nan
    reach = (
        stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    )
    mean = float(np.mean(values))
    return max(mean - reach, min(low, mean)), min(mean + reach, max(high, mean))


def least_p(pairs: int) -> float:
    """The smallest p-value of `paired_test` for n pairs: all signs equal, 2/2ⁿ."""
    return 2.0 ** (1 - pairs)


def paired_test(differences: Float[np.ndarray, " n"]) -> float:
    """The two-sided p-value of a sign-flip test that the differences `[n]`, n > 1, have mean 0."""
    from scipy import stats

    if not np.any(differences):
        return 1.0
    found = stats.permutation_test(
        (differences,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        rng=0,
    )
    return float(found.pvalue)


def holm(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """p-values `[n]` corrected for their number, NaN left out: p(i) → max over j ≤ i of (n - j + 1)·p(j)."""
    corrected = np.full(len(p), math.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return corrected


# --- Reading ------------------------------------------------------------------------------------------


def _outcomes(folder: Path, num: int) -> list[dict[str, Any]]:
    if (folder / "result.json").exists():
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))["runs"]
    if (folder / "failed.json").exists():
        reason = json.loads((folder / "failed.json").read_text(encoding="utf-8"))["reason"]
        return [{"status": "failed", "reason": reason}] * num
    return [{"status": "open"}] * num


def _num_modes(workdir: Path) -> set[int]:
    """The record of the data of a run; empty if unknown."""
    found = read_record(workdir)
    return {found["dataset"]["num_modes"]} - {None} if found and "num_modes" in found["dataset"] else set()


def _lines(path: Path, last: int) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl up to a step: a member may have been continued alone."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:  # being written
            break
    return [line for line in lines if line["step"] <= last]


def _value(run: dict[str, Any], field: str) -> Any:
    """The values of a swept field, which named settings need not all set."""
    if field in run["values"]:
        return run["values"][field]
    section = run["config"]
    for name in field.split("."):
        section = section.get(name) if isinstance(section, dict) else None
    return section


def _labels(described: list[dict[str, Any]], settings: list[str]) -> dict[str, str]:
    """A shorter label: the value of `loss.name=hinge`; for other fields the end of the path."""
    fields = {field for run in described for field in run["values"]}

    def shorten(text):
        field, equals, value = text.partition("=")
        if field not in fields:
            return text
        *parents, last = field.split(".")
        if last == "name":
            return value
        end = ".".join([*parents[-1:], last]) if last in ("weight", "num_steps") else last
        return f"{end}={value}" if sum(other.endswith(end) for other in fields) == 1 else text

    short = {setting: ", ".join(map(shorten, setting.split(", "))) for setting in settings}
    return short if len(set(short.values())) == len(short) else dict(zip(settings, settings, strict=True))
