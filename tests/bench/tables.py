# SPDX-License-Identifier: MIT
"""Tables of text, medians as ratios, geometric means. It knows nothing of what was measured."""
import math


def geometric_mean(values):
    values = [v for v in values if v is not None and v > 0]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def ratio(value, base):
    return value / base if value is not None and base else None


def show(value, digits=2):
    if value is None:
        return "-"
    return value if isinstance(value, str) else "%.*f" % (digits, value)


def table(title, heads, rows):
    """The first column is a name, the others are right-aligned."""
    lines = [[str(c) for c in line] for line in [heads] + rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    text = [title, "-" * len(title)]
    for line in lines:
        cells = [c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))]
        text.append("  ".join(cells))
    print("\n".join(text) + "\n", flush=True)


def ratio_table(title, results, names, what, base_show):
    """Rows of {contender: Cell}: the first contender's figure as `base_show` prints it, the others' over it,
    and their geometric means. Where somebody failed, the word for it stands, and the mean says over how many
    rows it is. Returns {contender: mean}."""
    base, rows, ratios = names[0], [], {name: [] for name in names}
    for row, cells in results.items():
        line = [row, cells[base].problem or base_show(cells[base].median(what))]
        for name in names[1:]:
            value = ratio(cells[name].median(what), cells[base].median(what))
            ratios[name].append(value)
            line.append(cells[name].problem or show(value))
        rows.append(line)
    means = {name: geometric_mean(ratios[name]) for name in names[1:]}
    rows.append(["geometric mean", ""] + [show(means[name]) for name in names[1:]])
    done = {name: sum(v is not None for v in ratios[name]) for name in names[1:]}
    if any(done[name] != len(results) for name in names[1:]):
        rows.append(["  over rows", ""] + ["%d of %d" % (done[name], len(results)) for name in names[1:]])
    table(title, [""] + names, rows)
    return means


def common_mean(results, name, other, what):
    """Geometric mean of name over other, over the rows in which both ran."""
    return geometric_mean([ratio(c[name].median(what), c[other].median(what)) for c in results.values()])


def goal(text, value, limit, at_least=False):
    if value is None:
        print("  goal: %s: not measured" % text)
        return
    reached = value >= limit if at_least else value <= limit + 0.005
    print("  goal: %s: %.2f, %s" % (text, value, "reached" if reached else "NOT reached"), flush=True)
