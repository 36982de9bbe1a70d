"""Rows of the table: ratios, and shares of what the machine can do."""

import json
import statistics

from . import works


def _share(rate, limit):
    return None if not limit else rate / limit


def shares(row, rate, model, baton):
    """The row's share of its nearer limit, that limit's name, and what else there is to say."""
    int8, f32, bf16 = baton.limit("int8"), baton.limit("f32"), baton.limit("bf16")
    if row.kind == "prefill":
        linear = 2 * model.linear_weights * rate
        attention = model.attention_operations(row.size) / row.size * rate
        return _share(linear, int8), "int8", {
            "attention_share_f32": _share(attention, f32),
            "attention_share_bf16": _share(attention, bf16),
        }
    batch, start = (row.size, works.PROMPT) if row.kind == "decode" else (1, row.size)
    steps = rate / batch
    read = model.matrix_bytes + batch * model.kv_bytes(start + works.GENERATE // 2)
    memory = _share(read * steps, baton.limit("memory"))
    products = _share(2 * (model.linear_weights + model.output_weights) * rate, int8)
    extra = {"memory_share": memory, "int8_share": products}
    return (products, "int8", extra) if (products or 0) > memory else (memory, "memory", extra)


def record(row, model, baton):
    """The row as `.bench/peer.json` has it."""
    result = {
        "work": row.name, "model": works.MODELS[row.model], "unit": "tokens/s", "ours": None, "peer": None, "ratio": None,
        "bar": row.bar, "bar_is": "at least, ratio", "met": False, "share_of_limit": None, "limit": None,
    }
    if row.error:
        return {**result, "error": row.error}
    ours = statistics.median(row.ours)
    peer, setting = row.best_peer()
    share, limit, extra = shares(row, ours, model, baton)
    return {
        **result, "ours": ours, "peer": peer, "ratio": ours / peer, "met": ours / peer >= row.bar,
        "share_of_limit": share, "limit": limit, **extra, "peer_setting": setting, "ours_runs": row.ours,
        "peer_runs": row.peer,
    }


def ceiling(work, model, unit, value, bar, error=None):
    """A row without a peer: the figure must stay below the bar."""
    result = {
        "work": work, "model": works.MODELS[model], "unit": unit, "ours": value, "peer": None, "ratio": None,
        "bar": bar, "bar_is": "at most", "met": value is not None and value < bar,
        "share_of_limit": None, "limit": None,
    }
    return {**result, "error": error} if error else result


def write(folder, records):
    folder.mkdir(exist_ok=True)
    (folder / "peer.json").write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n")


def _number(value, digits=1):
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value):
    return "–" if value is None else f"{100 * value:.0f} %"


def table(records, baton):
    lines = [
        f"{baton.threads} threads, the machine's limits: "
        + ", ".join(f"{key} {value:.0f}" for key, value in sorted(baton.limits.items()) if key != "threads"),
        "",
        f"{'model':40} {'work':18} {'ours':>9} {'peer':>9} {'ratio':>7} {'bar':>7}      share of limit",
    ]
    for row in records:
        digits = 2 if row["unit"] == "s" else 1
        is_ratio = row["bar_is"] != "at most"
        share = f"{_percent(row['share_of_limit']):>5} {row['limit']}" if row["limit"] else ""
        if row.get("attention_share_f32") is not None:
            share += f", attention {_percent(row['attention_share_f32'])} f32"
            if row.get("attention_share_bf16") is not None:
                share += f" ({_percent(row['attention_share_bf16'])} bf16)"
        if row.get("memory_share") is not None and row["limit"] == "int8":
            share += f", {_percent(row['memory_share'])} memory"
        if row.get("peer_setting"):
            share += f"   [peer: {row['peer_setting']}]"
        if row.get("error"):
            share = row["error"].strip().splitlines()[-1][:80]
        lines.append(
            f"{row['model']:40} {row['work']:18} {_number(row['ours'], digits):>9} {_number(row['peer']):>9}"
            f" {_number(row['ratio'], 2):>7} {'≥' if is_ratio else '<'}{_number(row['bar'], 2):>6}"
            f" {'ok  ' if row['met'] else 'MISS'} {share}")
    missed = sum(not row["met"] for row in records)
    lines += ["", "Rates are tokens a second; load is seconds, memory MiB.", f"{len(records)} rows, {missed} below their bar."]
    return "\n".join(lines)
