"""The progress of a whole sweep, over all processes."""

import json
from pathlib import Path


def describe(folders: list[Path], steps: list[list[int]]) -> str:
    """One line about a whole sweep.

    Args:
      folders: of its parts.
      steps: the lengths of the runs of each part.
    """
    done = running = diverged = failed = 0
    left, speed, seen = 0.0, 0.0, []
    for folder, lengths in zip(folders, steps, strict=True):
        result, status = folder / "result.json", folder / "status.json"
        if result.exists():
            statuses = [run["status"] for run in json.loads(result.read_text(encoding="utf-8"))["runs"]]
            done += statuses.count("done")
            diverged += statuses.count("diverged")
        elif (folder / "failed.json").exists():
            failed += len(lengths)
        else:
            left += sum(lengths)
        if status.exists():
            now = json.loads(status.read_text(encoding="utf-8"))
            rate = now["members"] / now["seconds_per_step"] if now["seconds_per_step"] else 0.0
            seen += [rate] if rate else []
            if not result.exists() and not (folder / "failed.json").exists():
                left -= now["step"] * now["members"]
                diverged += now["members"] - now["alive"]
                if any(folder.glob("lease-*")):
                    running += now["alive"]
                    speed += rate
    total = sum(map(len, steps))
    speed = speed or (sum(seen) / len(seen) if seen else 0.0)
    time_left = f"about {_clock(left / speed)} left" if speed else "time left not known yet"
    parts = [f"{done} of {total} runs done", f"{running} running", f"{diverged} diverged", f"{failed} failed"]
    return f"sweep: {', '.join(parts)}, {time_left if left else 'nothing left to train'}"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
