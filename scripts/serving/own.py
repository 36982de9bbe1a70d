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


def rows(binary, command, options, folder):
    """Bars of one subcommand, run in the repository's folder; a row with the reason where it has none."""
    if not has(binary, command):
        return [_missing(command, f"this binary has no `baton bench {command}`")]
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        words = [str(binary), "bench", command, *map(str, options), "--json", file.name]
        try:
            done = subprocess.run(
                words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=processes.environment("BATON_"), cwd=folder,
                timeout=3600)
        except subprocess.TimeoutExpired:
            return [_missing(command, "not done after an hour")]
        try:
            return [own_bar(bar) for bar in json.load(file)["bars"]] or [_missing(command, "no bars in its answer")]
        except (ValueError, KeyError) as error:
            why = f"ended with {done.returncode}: {done.stderr[-500:]}" if done.returncode else f"its answer lacks {error!r}"
            return [_missing(command, why)]


def _missing(command, why):
    return row(command, "not measured", None, "", None, None, error=why)
