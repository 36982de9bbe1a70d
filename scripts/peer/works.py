"""The works that are compared, their bars, and how one of them is run on both sides."""

import dataclasses
import statistics

MODELS = {
    "smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "qwen0.5b": "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
    "qwen1.5b": "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
    "gemma3": "gemma-3-270m.Q4_K_M.gguf",
}

# Least ratio to llama.cpp, by kind and number of tokens or sequences.
BARS = {
    ("prefill", 512): {"smollm2": 4, "qwen0.5b": 3, "qwen1.5b": 2, "gemma3": 3},
    ("prefill", 2048): {"smollm2": 4, "qwen0.5b": 3, "qwen1.5b": 2.2, "gemma3": 3},
    ("prefill", 7500): {"smollm2": 3},
    ("decode", 1): {"smollm2": 1.8, "qwen0.5b": 1.6, "qwen1.5b": 0.95, "gemma3": 1.5},
    ("decode", 8): {"smollm2": 3.5, "qwen1.5b": 4},
    ("decode", 32): {"smollm2": 4.5, "qwen1.5b": 2.2},
    ("depth", 4096): {"smollm2": 2.4},
}
AVX2_BAR = 1.0
# Most seconds.
LOAD_BARS = {"smollm2": 1.5, "qwen1.5b": 6}
MEMORY_MODELS = ["smollm2"]
MEMORY_BLOCKS = 512
MEMORY_FILES = 2.2

PROMPT = GENERATE = 128
# A setting of the peer that the first run shows this far behind its best is not run again.
HOPELESS = 0.7


@dataclasses.dataclass
class Row:
    kind: str
    size: int
    model: str
    bar: float
    ours: list = dataclasses.field(default_factory=list)
    peer: dict = dataclasses.field(default_factory=dict)  # setting: rates
    error: str = None

    @property
    def name(self):
        forms = {"prefill": "prefill {}", "decode": "decode, batch {}", "depth": "decode at {}"}
        return forms.get(self.kind, self.kind).format(self.size)

    def best_peer(self):
        """The median and the setting that count: the fastest of those that were run to the end."""
        if not self.peer:
            return None, None
        most = max(map(len, self.peer.values()))
        rates = {setting: statistics.median(r) for setting, r in self.peer.items() if len(r) == most}
        setting = max(rates, key=rates.get)
        return rates[setting], setting

    def promising(self):
        first = {setting: rates[0] for setting, rates in self.peer.items()}
        return {setting for setting, rate in first.items() if rate >= HOPELESS * max(first.values())}


def rows_for(model, kinds, avx2):
    """The rows of a model, in groups that are run together. `kinds` holds pairs of kind and size, or None for any size."""
    rows = [
        Row(kind, size, model, AVX2_BAR if avx2 else bars[model])
        for (kind, size), bars in BARS.items()
        if model in bars and ((kind, None) in kinds or (kind, size) in kinds)
    ]
    batches = [row for row in rows if row.kind == "decode"]
    return [[row] for row in rows if row.kind != "decode"] + ([batches] if batches else [])


def _batch_sizes(most):
    return [size for size in [1, 2, 4, 8, 16, 32, 64] if size <= most]


def _run_ours(baton, path, rows):
    kind, sizes = rows[0].kind, ",".join(str(row.size) for row in rows)
    if kind == "prefill":
        options = ["--only", "prefill", "--prefill", sizes]
    elif kind == "depth":
        options = ["--only", "decode", "--depth", sizes, "--generate", GENERATE]
    else:
        options = ["--only", "decode", "--batch", sizes, "--prompt", PROMPT, "--generate", GENERATE]
    figures = baton.bench(path, *options)
    for row in rows:
        row.ours.append(figures[row.name])


def _run_peer(peer, path, rows, flash, is_first):
    def note(row, setting, rate):
        if is_first or setting in row.promising():
            row.peer.setdefault(setting, []).append(rate)

    def wanted(row, setting):
        return is_first or setting in row.promising()

    if rows[0].kind != "decode":
        row, setting = rows[0], f"flash {flash}"
        if wanted(row, setting):
            work = {"prompt": row.size} if row.kind == "prefill" else {"generate": GENERATE, "depth": row.size}
            note(row, setting, peer.bench(path, flash, **work))
        return
    sizes = [
        size for size in _batch_sizes(max(row.size for row in rows))
        if any(size <= row.size and wanted(row, f"flash {flash}, batch {size}") for row in rows)
    ]
    rates = peer.batched(path, flash, sizes, PROMPT, GENERATE) if sizes else {}
    for row in rows:
        for size, rate in rates.items():
            if size <= row.size:
                note(row, f"flash {flash}, batch {size}", rate)
        setting = f"flash {flash}, alone"
        if row.size == 1 and wanted(row, setting):
            note(row, setting, peer.bench(path, flash, generate=GENERATE, depth=PROMPT))


def compare(baton, peer, path, rows, runs):
    """Runs both sides in turn and fills the rows in."""
    for run in range(runs):
        _run_ours(baton, path, rows)
        for flash in ["off", "on"]:
            _run_peer(peer, path, rows, flash, run == 0)
        for row in rows:
            if not row.peer:
                raise RuntimeError(f"llama.cpp gave no figure for {row.name}")
