"""The comparisons that `baton bench` makes by itself."""

import json
import subprocess
import tempfile

from . import processes
from .rows import own_bar, row

COMMANDS = ["paged", "speculation", "offload", "latency"]


def has(binary, command):
    done = subprocess.run([binary, "bench", command, "--help"], capture_output=True, text=True, timeout=60)
    return done.returncode == 0 and f"bench {command}" in done.stdout


def rows(binary, command, options, quick):
    """Bars of one subcommand; a row with the reason where it has none."""
    if not has(binary, command):
        return [_missing(command, f"this binary has no `baton bench {command}`")]
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        words = [str(binary), "bench", command, *map(str, options), "--json", file.name]
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=processes.environment("BATON_"), timeout=3600)
        if done.returncode != 0:
            return [_missing(command, f"`{' '.join(words[1:3])}` ended with {done.returncode}: {done.stderr[-500:]}")]
        try:
            bars = json.load(file)["bars"]
            return [own_bar(bar) for bar in bars] or [_missing(command, "no bars in its answer")]
        except (ValueError, KeyError) as error:
            return [_missing(command, f"its answer is not as agreed: {error!r}")]


def _missing(command, why):
    return row(command, "not measured", None, "", None, None, error=why)
