"""The shared-prefix load under each server in turn, and what its rows must reach."""

import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from . import processes, prompts, servers
from .rows import row

CLIENTS, REQUESTS, GENERATE = 8, 5, 64
COUNT = CLIENTS * REQUESTS
PHASES = ["cold", "warm"]
MEMORY_BAR_MIB = 1024
# Of ours to the better peer: at most for times, at least for rates.
BARS = {
    ("cold", "time to first token p50"): 1 / 3, ("warm", "time to first token p50"): 1 / 3,
    ("cold", "time to first token p99"): 2 / 3, ("warm", "time to first token p99"): 1 / 2,
    ("cold", "output tokens"): 2, ("warm", "output tokens"): 2.5,
}
PROGRAM = pathlib.Path(__file__).with_name("load.py")


@dataclasses.dataclass
class Run:
    seconds: float
    answers: list
    peak_bytes: int

    @property
    def good(self):
        return [answer for answer in self.answers if "error" not in answer]


def percentile(values, share):
    """Between the nearest two, in proportion."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


class SharedPrefix:
    def __init__(self, vocabulary, wrap, say):
        texts = prompts.make(vocabulary, COUNT * len(PHASES))
        self.prompts = {phase: texts[index * COUNT:(index + 1) * COUNT] for index, phase in enumerate(PHASES)}
        self.wrap, self.say = wrap, say
        self.runs = {}  # server: phase: list of runs
        self.failures = {}  # server: why it could not be run

    def round(self, server):
        """Starts the server afresh; cold, then warm. A round that breaks off counts in neither."""
        came = {}
        with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder, \
                processes.Processes(pathlib.Path(folder)) as group:
            url = server.start(group)
            for phase in PHASES:
                came[phase] = self.load(group, url, server, self.prompts[phase])
                self.say(f"{server.name}, {phase}: {self.line(came[phase])}")
        for phase, run in came.items():
            self.runs.setdefault(server.name, {}).setdefault(phase, []).append(run)

    def load(self, group, url, server, texts, clients=CLIENTS):
        given, came = group.folder / "prompts.json", group.folder / "answers.json"
        given.write_text(json.dumps(texts))
        with processes.PeakMemory(group.pids, server.memory_interval) as memory:
            subprocess.run(
                [*self.wrap, sys.executable, PROGRAM, "--url", url, "--model", servers.NAME, "--prompts", given, "--clients",
                 str(clients), "--requests", str(len(texts) // clients), "--max-tokens", str(GENERATE), "--output", came], check=True)
        return Run(**json.loads(came.read_text()), peak_bytes=memory.bytes)

    def compare_answers(self, reference, count):
        """How many of our answers differ: from each other between rounds, or from those of one plain process."""
        ours = {
            (phase, index): {run.answers[index].get("text") for run in runs}
            for phase, runs in self.runs["baton"].items() for index in range(COUNT)}
        wrong = sum(len(texts) != 1 for texts in ours.values())
        with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder, \
                processes.Processes(pathlib.Path(folder)) as group:
            url = reference.start(group)
            for phase in PHASES:
                chosen = range(0, COUNT, COUNT // count)
                run = self.load(group, url, reference, [self.prompts[phase][index] for index in chosen], clients=1)
                wrong += sum(ours[phase, index] != {answer.get("text")} for index, answer in zip(chosen, run.answers))
        return wrong

    # Figures.

    def line(self, run):
        figures = self.figures([run])
        text = ", ".join(f"{name} {value:.1f} {unit}" for name, (value, unit) in figures.items())
        return f"{text}, {run.peak_bytes / 2**20:.0f} MiB, {len(run.answers) - len(run.good)} failed"

    @staticmethod
    def figures(runs):
        """Over all the runs' requests together."""
        answers = [answer for run in runs for answer in run.good]
        if not answers:
            raise RuntimeError("no request came back")
        first = [1e3 * answer["ttft"] for answer in answers]
        gaps = [1e3 * gap for answer in answers for gap in answer["gaps"]]
        rate = sum(answer["tokens"] for answer in answers) / sum(run.seconds for run in runs)
        return {
            "time to first token p50": (percentile(first, 0.5), "ms"), "time to first token p99": (percentile(first, 0.99), "ms"),
            "output tokens": (rate, "tokens/s"),
            "inter-token latency p50": (percentile(gaps, 0.5), "ms"), "inter-token latency p99": (percentile(gaps, 0.99), "ms"),
        }

    def rows(self, wrong):
        result = []
        for phase in PHASES:
            by_server = {name: self.figures(runs[phase]) for name, runs in self.runs.items() if phase in runs}
            for figure, (_, unit) in self.figures(self.runs["baton"][phase]).items():
                result.append(self._row(phase, figure, unit, {name: each[figure][0] for name, each in by_server.items()}))
        runs = [run for each in self.runs["baton"].values() for run in each]
        answers = [answer for run in runs for answer in run.answers]
        peak = max(run.peak_bytes for run in runs) / 2**20
        others = {
            name: max(run.peak_bytes for runs in each.values() for run in runs) / 2**20
            for name, each in self.runs.items() if name != "baton"}
        work = "shared prefix"
        result.append(row(
            work, "memory of all processes (PSS, peak)", peak, "MiB", MEMORY_BAR_MIB, "below", peers=others))
        result.append(row(work, "failed requests", sum("error" in answer for answer in answers), "requests", 0, "at most"))
        expected = prompts.SHARED + prompts.OWN
        odd = sum(answer["prompt_tokens"] != expected for run in runs for answer in run.good)
        result.append(row(work, f"prompts not of {expected} tokens", odd, "requests", 0, "at most"))
        short = sum(answer["tokens"] != GENERATE for run in runs for answer in run.good)
        result.append(row(work, f"answers not of {GENERATE} tokens", short, "requests", 0, "at most"))
        for name in others:
            every = [answer for each in self.runs[name].values() for run in each for answer in run.answers]
            spoilt = sum(
                "error" in answer or answer["prompt_tokens"] != expected or answer["tokens"] != GENERATE for answer in every)
            result.append(row(work, f"{name}: requests not as asked for", spoilt, "requests", 0, "at most"))
        result.append(row(work, "wrong answers", wrong, "requests", 0, "at most", error=None if wrong is not None else "not compared"))
        for name, why in self.failures.items():
            result.append(row(work, f"{name} could not be run", None, "", None, None, error=why))
        return result

    def _row(self, phase, figure, unit, values):
        is_rate = unit == "tokens/s"
        peers = {name: value for name, value in values.items() if name != "baton"}
        better = (max if is_rate else min)(peers, key=peers.get) if peers else None
        every = {
            name: [self.figures([run])[figure][0] for run in runs[phase]] for name, runs in self.runs.items() if phase in runs}
        return row(
            f"shared prefix, {phase}", figure, values["baton"], unit, BARS.get((phase, figure)),
            "at least, ratio" if is_rate else "at most, ratio", peer=peers.get(better), peer_name=better, peers=peers, runs=every,
            median_of_runs={name: statistics.median(of_runs) for name, of_runs in every.items()})
