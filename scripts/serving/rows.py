"""Rows of .bench/serving.json, and the table."""

import json


def row(work, figure, ours, unit, bar, bar_is, peer=None, error=None, **more):
    """`bar_is`: what the bar is held against, and which side of it is good."""
    ratio = ours / peer if ours is not None and peer else None
    value = ratio if bar_is and bar_is.endswith("ratio") else ours
    met = None
    if bar is not None:
        # With nothing to hold it against a row is neither met nor missed, and counts as missed.
        met = None if value is None else {
            "at least": value >= bar, "at most": value <= bar, "below": value < bar}[bar_is.split(",")[0]]
    result = {
        "work": work, "figure": figure, "ours": ours, "peer": peer, "ratio": ratio, "bar": bar, "bar_is": bar_is if bar is not None
        else None, "met": met, "unit": unit, **more}
    return {**result, "error": error} if error else result


def own_bar(bar):
    """A row of one of `baton bench`'s own comparisons: judged there, against our own other setting and no peer."""
    known = {key: bar[key] for key in ["work", "figure", "ours"]}
    judged = {key: bar.get(key) for key in ["ratio", "bar", "bar_is", "met"]}
    return {**known, "peer": None, "baseline": bar.get("baseline"), **judged, "unit": bar["unit"]}


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")


def _number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def table(rows):
    lines = [f"{'work':38} {'figure':38} {'ours':>8} {'other':>8} {'ratio':>6}  {'bar':>13}       unit"]
    signs = {"at least": "≥", "at most": "≤", "below": "<"}
    for each in rows:
        sign = signs.get((each.get("bar_is") or "").split(",")[0], "")
        of_ratio = " ×" if (each.get("bar_is") or "").endswith("ratio") else ""
        bar = f"{sign} {_number(each['bar'])}{of_ratio}" if each["bar"] is not None else ""
        verdict = {True: "ok  ", False: "MISS", None: "    "}[each["met"]]
        other = each["peer"] if each["peer"] is not None else each.get("baseline")
        note = f"  [{each['peer_name']}]" if each.get("peer_name") else ""
        if each.get("error"):
            note = "  " + each["error"].strip().splitlines()[-1][:100]
        lines.append(
            f"{each['work']:38} {each['figure']:38} {_number(each['ours']):>8} {_number(other):>8} {_number(each['ratio']):>6}"
            f"  {bar:>13} {verdict}  {each['unit']}{note}")
    judged = [each for each in rows if each["bar"] is not None or each.get("error")]
    missed = sum(not each["met"] for each in judged)
    return "\n".join([*lines, "", f"{len(judged)} rows with a bar, {missed} not met."])
