#!/usr/bin/env python3
"""table.py --results FILE ...: turns nfsbench's JSON lines into the tables of docs/performance.md.

Prints them, or with --write puts them into that file between its markers."""
import argparse
import datetime
import json
import platform
import statistics
import sys

BEGIN, END = "<!-- measured: begin (scripts/bench writes what stands between these lines) -->", "<!-- measured: end -->"

# metric, what it is, the ratio strata/ganesha to reach now and in the end, of which figure
ROWS = [
    ("null", "NULL", None, None),
    ("getattr", "GETATTR", 8, 19),
    ("lookup", "LOOKUP", 8, 20),
    ("rand_read4k", "READ 4 KiB, random", 6, 13),
    ("create_write4k_unstable_commit", "CREATE + WRITE 4 KiB + COMMIT", 4, 9),
    ("create_write4k_filesync", "CREATE + WRITE 4 KiB FILE_SYNC", None, None),
    ("remove", "REMOVE", 5, None),
    ("mkdir", "MKDIR", 5, None),
    ("rmdir", "RMDIR", None, None),
    ("rename", "RENAME", 5, None),
    ("seq_read", "READ 1 MiB, sequential (MiB)", 1.5, 2.5),
    ("seq_write", "WRITE 1 MiB, sequential (MiB)", 1.5, 2.5),
    ("readdirplus", "READDIRPLUS (entries)", 1, 2),
    ("readdir", "READDIR (entries)", None, None),
]
WALL_ROWS = [
    ("create64_write4k_filesync", "CREATE + WRITE 4 KiB FILE_SYNC, 64 creators", 4),
    ("create64_write4k_unstable_commit", "CREATE + WRITE 4 KiB + COMMIT, 64 creators", 4),
]
# The share of a plain loop's appends that a file made and written is to reach. Each file is answered twice after a sync
# (CREATE, then WRITE or COMMIT), so 64 creators have at most 32 files behind each: the loop with 32 appends for each
# fdatasync has the same syncs. The one with 64 is what half of them would give. An append makes a file longer; into
# blocks that were written before, which is the best a disk can do, there is no mark.
DISK_GOAL = 0.7
DISK_ROWS = [("append_longer_fdatasync_32", "of a plain loop's with as many syncs,", DISK_GOAL),
             ("append_longer_fdatasync_64", "of a plain loop's with half the syncs,", DISK_GOAL),
             ("append_fdatasync_64", "of the best loop's, half the syncs and into blocks written before,", None)]
# The share of the floor's rate that is to be reached, by metric.
FLOOR_GOALS = {"seq_write": 0.35}
LATENCY_ROWS = [("lat_getattr", "GETATTR"), ("lat_read4k", "READ 4 KiB")]
# Metric, what one operation is, and what it may take: of a GETATTR, or us.
LOCK_ROWS = [
    ("lock_unlock", "LOCK + UNLOCK of a range of one file", "getattr"),
    ("lock_unlock_files", "LOCK + UNLOCK of a whole file, each of another", "getattr"),
    ("lock_many_ranges", "LOCK: {n} of one owner on one file", "us"),
    ("unlock_many_ranges", "UNLOCK of these", "us"),
    ("lock_many_owners", "LOCK: {n} of 1,000 owners on one file", "us"),
    ("unlock_many_owners", "UNLOCK of these", "us"),
    ("lock_many_files", "LOCK: {n} files, one each", "us"),
    ("unlock_many_files", "UNLOCK of these", "us"),
]
LOCK_PAIR_GETATTRS, LOCK_US = 3, 10
# The share of a call's cost that locks may take where nobody locks.
LOCKS_IDLE_SHARE = 0.02
CHECKPOINT_ROWS = [("create", "CREATE"), ("write", "WRITE 4 KiB FILE_SYNC"), ("getattr", "GETATTR beside"), ("read", "READ 4 KiB beside")]
CHECKPOINT_RATE, CHECKPOINT_P999_US = 0.8, 50_000
RESTART_ROWS = [
    ("restart_quiet", "nothing changed since it was last ended"),
    ("restart_create_write", "in a burst of CREATE + WRITE 4 KiB, late in a checkpoint"),
    ("restart_create", "in a burst of CREATE, late in a checkpoint"),
]
RESTART_MS = 1000
SERVERS = ["floor", "ganesha", "strata", "relaxed"]


def figure(value):
    if value is None:
        return "-"
    if value >= 100_000:
        return f"{value / 1000:,.0f} k"
    if value >= 10_000:
        return f"{value / 1000:.1f} k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def ratio(a, b):
    return a / b if a is not None and b else None


def times(value):
    return "-" if value is None else f"{value:.1f} x" if value < 100 else f"{value:.0f} x"


def goal(value, wanted, unit=" x"):
    """The ratio to reach, and whether it was."""
    if wanted is None:
        return "-"
    return f"{wanted:g}{unit}: " + ("not measured" if value is None else "met" if value >= wanted else "not met")


class Results:
    def __init__(self, path):
        self.rows = {}
        with open(path) as lines:
            for line in lines:
                row = json.loads(line)
                before = self.rows.get((row["metric"], row["server"]))
                # The disk is asked before and after the servers: the better figure is the floor.
                if before is None or row["server"] != "disk" or row["median"] > before["median"]:
                    self.rows[row["metric"], row["server"]] = row

    def get(self, metric, server, field):
        """The field, or None where there is no such row or it has errors."""
        row = self.rows.get((metric, server))
        return None if row is None or row.get("errors", 0) else row.get(field)

    def has(self, metric):
        return any((metric, server) in self.rows for server in SERVERS)

    def has_any(self, metrics):
        return any(self.has(metric) for metric in metrics)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] + ["---:"] * (len(header) - 1)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cpu_table(results):
    rows = []
    for metric, name, now, end in ROWS:
        if not results.has(metric):
            continue
        value = {server: results.get(metric, server, "per_server_cpu_s") for server in SERVERS}
        got = ratio(value["strata"], value["ganesha"])
        relaxed = ratio(value["relaxed"], value["ganesha"])
        share = ratio(value["strata"], value["floor"])
        rows.append([name] + [figure(value[server]) for server in SERVERS] + [times(got), times(relaxed), goal(got, now), "-" if end is None else f"{end:g} x",
                    "-" if share is None else f"{share * 100:.0f} %"])
    return table(["per CPU second of the server", "floor", "ganesha", "strata", "strata relaxed", "strata / ganesha", "relaxed / ganesha", "to reach",
                  "in the end", "strata / floor"], rows)


def wall_table(results):
    rows = []
    for metric, name, *_ in ROWS:
        if results.has(metric):
            rows.append([name] + [figure(results.get(metric, server, "median")) for server in SERVERS] +
                        [times(ratio(results.get(metric, "strata", "median"), results.get(metric, "ganesha", "median"))), "-"])
            share = ratio(results.get(metric, "strata", "median"), results.get(metric, "floor", "median"))
            if metric in FLOOR_GOALS and share is not None:
                rows.append([f"{name}: of the floor", "", "", f"{share:.2f}", "", "", goal(share, FLOOR_GOALS[metric], "")])
    for metric, name, wanted in WALL_ROWS:
        if results.has(metric):
            strata = results.get(metric, "strata", "median")
            got = ratio(strata, results.get(metric, "ganesha", "median"))
            rows.append([name] + [figure(results.get(metric, server, "median")) for server in SERVERS] + [times(got), goal(got, wanted)])
            for loop, title, mark in DISK_ROWS:
                disk = results.get(loop, "disk", "median")
                if disk is None or strata is None:
                    continue
                share = strata / disk
                rows.append([f"{name}: {title} {figure(disk)} appends", "", "", f"{share:.2f}", "", "",
                             goal(share, mark, "")])
    return table(["per second of wall time", "floor", "ganesha", "strata", "strata relaxed", "strata / ganesha", "to reach"], rows)


def latency_table(results):
    rows = []
    for metric, name in LATENCY_ROWS:
        if not results.has(metric):
            continue
        cells = []
        for server in SERVERS:
            p50, p99 = results.get(metric, server, "p50_us"), results.get(metric, server, "p99_us")
            cells.append("-" if p50 is None else f"{p50:.1f} / {p99:.1f}")
        share = ratio(results.get(metric, "strata", "p50_us"), results.get(metric, "floor", "p50_us"))
        rows.append([name] + cells + [times(share)])
    return table(["one call in flight, p50 / p99 in us", "floor", "ganesha", "strata", "strata relaxed", "strata / floor (p50)"], rows)


def checkpoint_table(results):
    rate = results.rows.get(("checkpoint_rate", "strata"))
    if rate is None:
        return None
    rows = [["files a second, 64 creators", figure(rate["without"]), figure(rate["with"]), f"{rate['ratio']:.2f}", goal(rate["ratio"], CHECKPOINT_RATE, "")]]
    for what, name in CHECKPOINT_ROWS:
        cells, met = [], "-"
        for when in ("without", "with"):
            row = results.rows.get((f"checkpoint_{what}_{when}", "strata"))
            if row is None:
                cells.append("-")
                continue
            cells.append(" / ".join(figure(row[field]) for field in ("p50_us", "p99_us", "p999_us", "max_us")))
            if when == "with":
                met = f"p99.9 {CHECKPOINT_P999_US / 1000:g} ms: " + ("met" if row["p999_us"] <= CHECKPOINT_P999_US else "not met")
        rows.append([f"{name}, us: p50 / p99 / p99.9 / slowest"] + cells + ["-", met])
    return table([f"{rate['checkpoints']} checkpoints, {rate['secs_with']:.1f} s with one and {rate['secs_without']:.1f} s without", "without", "with",
                  "with / without", "to reach"], rows) + (f"\n\n{rate['errors']} errors." if rate["errors"] else "")


def restart_table(results):
    rows = []
    for metric, name in RESTART_ROWS:
        row = results.rows.get((metric, "strata"))
        if row is not None:
            rows.append([name, f"{row['files']:,}", str(row["reps"]), f"{row['median']:.0f}", f"{row['max']:.0f}", f"{row['records']:,}", f"{row['journal_mib']:.0f} MiB",
                         f"{RESTART_MS:,} ms: " + ("met" if row["max"] < RESTART_MS else "not met")])
    if not rows:
        return None
    return table(["killed with -9: ms from exec to the first answer", "files", "kills", "median", "slowest", "most records replayed", "of journal", "to reach"], rows)


def cpu_us(results, metric, server):
    """Of the server's CPU for one operation, or None."""
    per_second = results.get(metric, server, "per_server_cpu_s")
    return 1e6 / per_second if per_second else None


def lock_table(results):
    """The servers without NLM have no column."""
    servers = [server for server in ("floor", "strata", "relaxed") if any(results.get(metric, server, "work") for metric, *_ in LOCK_ROWS)]
    rows = []
    for metric, name, mark in LOCK_ROWS:
        if not results.has(metric):
            continue
        mine = results.rows.get((metric, "strata"), {})
        value = {server: cpu_us(results, metric, server) for server in servers}
        cells = ["-" if value[server] is None else f"{value[server]:.2f}" for server in servers]
        met = "not measured"
        if mark == "us" and value.get("strata") is not None:
            met = f"{LOCK_US} us: " + ("met" if value["strata"] < LOCK_US else "not met")
        elif mark == "getattr" and results.get(metric, "strata", "getattrs"):
            share = results.get(metric, "strata", "getattrs")
            met = f"{LOCK_PAIR_GETATTRS} GETATTR: {share:.1f}, " + ("met" if share <= LOCK_PAIR_GETATTRS else "not met")
        note = mine.get("note", "")
        rows.append([name.format(n=f"{mine.get('work', 0):,.0f}")] + cells + [met, (note if metric.startswith("lock_many") else "") or "-"])
    if not rows:
        return None
    titles = {"floor": "floor", "strata": "strata", "relaxed": "strata relaxed"}
    text = table(["locks: us of the server's CPU"] + [titles[server] for server in servers] + ["to reach", "strata's memory, the first time"], rows)
    # Turn by turn, since the machine is not as fast in one as in the next.
    on, off = (results.get("getattr", server, "per_server_cpu_s_each") for server in ("locks_on", "locks_off"))
    if on and off:
        more = statistics.median(without / with_locks for with_locks, without in zip(on, off) if with_locks) - 1
        text += (f"\n\nA GETATTR takes {more * 100:+.1f} % of the CPU with `--locks on` where nobody locks, against `--locks off`: the median of {len(on)} short "
                 f"turns (at most {LOCKS_IDLE_SHARE * 100:g} %: {'met' if more <= LOCKS_IDLE_SHARE else 'not met'}).")
    return text


def memory_table(results):
    rows = []
    for title, field in (("RSS, largest after any test", "rss_kb"), ("peak RSS", "peak_rss_kb")):
        cells = []
        for server in SERVERS:
            values = [row[field] for (_, s), row in results.rows.items() if s == server and row.get(field)]
            cells.append(f"{max(values) / 1024:.0f} MiB" if values else "-")
        rows.append([title] + cells)
    return table(["memory of the server", "floor", "ganesha", "strata", "strata relaxed"], rows)


def machine():
    cpu, cores = "unknown", 0
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                cpu, cores = line.split(":", 1)[1].strip(), cores + 1
    return f"{cores} x {cpu}, Linux {platform.release()}"


def report(arguments, results):
    disk = [results.get(f"append_fdatasync_{batch}", "disk", "median") for batch in (1, 64)]
    parts_after = [part for part in (lock_table(results), checkpoint_table(results), restart_table(results)) if part is not None]
    if not results.has_any([metric for metric, *_ in ROWS + WALL_ROWS + LATENCY_ROWS]):
        return "\n\n".join(parts_after)
    wrong = [f"- {metric}, {server}: {row['errors']} errors ({row['note']})" for (metric, server), row in results.rows.items() if row.get("errors")]
    parts = [
        f"Measured on {datetime.date.today().isoformat()}: {machine()}; the served folders on {arguments.file_system}; strata {arguments.commit}, "
        f"nfs-ganesha {arguments.ganesha} (FSAL_VFS); 2 connections, 32 calls in flight (8 for sequential transfers, 1 for listings); client "
        f"`{arguments.client}`; medians of {arguments.reps} repetition{'s' if arguments.reps != 1 else ''}.",
        cpu_table(results), wall_table(results), latency_table(results), memory_table(results),
    ]
    if disk[0]:
        parts.append(f"What the disk allows: {figure(disk[0])} appends a second with an fdatasync for each, {figure(disk[1])} with one for each 64. "
                     f"An append is 4,480 bytes, what the journal takes for a file that is made and written with 4 KiB, into blocks that were written before; to a "
                     f"file that grows by it there are {figure(results.get('append_longer_fdatasync_64', 'disk', 'median'))} with one fdatasync for each 64, "
                     f"{figure(results.get('append_longer_fdatasync_32', 'disk', 'median'))} with one for each 32.")
    parts += parts_after
    if wrong:
        parts.append("Rows with errors, which are no results:\n\n" + "\n".join(wrong))
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", required=True)
    parser.add_argument("--file-system", required=True)
    parser.add_argument("--ganesha", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--reps", type=int, required=True)
    parser.add_argument("--write")
    arguments = parser.parse_args()
    text = report(arguments, Results(arguments.results))
    print(text)
    if arguments.write is None:
        return 0
    with open(arguments.write) as file:
        page = file.read()
    if BEGIN not in page or END not in page:
        print(f"table.py: {arguments.write} has no markers to write between", file=sys.stderr)
        return 1
    head, rest = page.split(BEGIN, 1)
    with open(arguments.write, "w") as file:
        file.write(head + BEGIN + "\n\n" + text + "\n\n" + END + rest.split(END, 1)[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
