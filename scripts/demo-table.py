"""Prints a short table of what `baton generate --output` wrote, a column for each answer."""

import json
import sys

answers = [json.load(open(path)) for path in sys.argv[1:]]


def worker(answer, tier):
    found = answer["route"].get(tier)
    return found["id"] if found else "-"


def blocks(tokens):
    return tokens // 16


rows = [
    ("prefill worker", lambda a: worker(a, "prefill")),
    ("decode worker", lambda a: worker(a, "decode")),
    ("prompt tokens", lambda a: len(a["prompt_token_ids"])),
    ("blocks computed", lambda a: -(-a["route"]["computed_tokens"] // 16)),
    ("blocks cached at prefill", lambda a: blocks(a["route"]["prefill_cached_tokens"])),
    ("blocks cached at decode", lambda a: blocks(a["route"]["decode_cached_tokens"])),
    ("blocks transferred", lambda a: a["route"]["transferred_blocks"]),
    ("MiB transferred", lambda a: f"{a['route']['transferred_bytes'] / 2**20:.2f}"),
    ("time to first token", lambda a: f"{a['timing']['first_token'] * 1000:.0f} ms"),
    ("  of it prefill", lambda a: f"{a['timing']['prefill'] * 1000:.0f} ms"),
    ("  of it transfer after prefill", lambda a: f"{a['timing']['transfer'] * 1000:.1f} ms"),
    ("tokens", lambda a: len(a["token_ids"])),
    ("tokens a second", lambda a: f"{a['tokens_per_second']:.1f}"),
    ("drafts accepted", lambda a: f"{a['route']['accepted_tokens']} of {a['route']['drafted_tokens']}"),
]
print()
print(f"{'':<32}" + "".join(f"{'prompt ' + str(i + 1):>16}" for i in range(len(answers))))
for label, value in rows:
    print(f"{label:<32}" + "".join(f"{value(a)!s:>16}" for a in answers))
