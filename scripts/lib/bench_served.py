#!/usr/bin/env python3
# scripts/bench served [OPTIONS]: a tree of a store beside the same tree of a host folder, served side by side: what calls cost the server, and how
# long a walk over the tree takes where nothing is cached. Prints the tables of docs/performance.md. Needs root, to drop the caches.
#   --files N          of the tree that is walked (1000000); 0 for none
#   --file-mb N        of the large file that is read (512); --dir-entries N of the large directory (50000)
#   --reps N           repetitions (5; of the walk 3); medians are shown
#   --dir DIR          where all of it lies (default build/bench)
#   --metrics A,B      of nfsbench: getattr, lookup, seq_read, rand_read4k, readdirplus, readdir
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile

METRICS = "getattr,lookup,seq_read,rand_read4k,readdirplus,readdir"


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as control:
        control.write("3\n")


class Server:
    """`strata serve` with these arguments, on a free port."""

    def __init__(self, options, label, arguments, log):
        self.label = label
        self.child = subprocess.Popen([options.strata, "serve", *arguments, "--listen", "127.0.0.1:0", "--portmap", "off", "--insecure-ports"],
                                      stdout=subprocess.PIPE, stderr=open(log, "w"), text=True)
        line = self.child.stdout.readline()
        if not line.startswith("ready nfs=127.0.0.1:"):
            sys.exit(f"scripts/bench served: {label} was not ready:\n{open(log).read()[-2000:]}")
        port = line.split()[1].rsplit(":", 1)[1]
        self.target = f"{label},nfs://127.0.0.1/?nfsport={port}&mountport={port}&version=3,{self.child.pid}"

    def end(self):
        self.child.terminate()
        self.child.wait()


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"scripts/bench served: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def imported(options, source, work):
    store = os.path.join(work, "store")
    run([options.strata, "store", "init", store])
    run([options.strata, "import", source, "--store", store, "--name", "bench", "--quiet"])
    return f"castore:bench@{store}"


def calls(options, work):
    source = os.path.join(work, "source")
    os.mkdir(source)
    sizes = ["--file-mb", str(options.file_mb), "--dir-entries", str(options.dir_entries)]
    run([options.nfsbench, "prepare", source, *sizes])
    tree = imported(options, source, work)
    log = lambda name: os.path.join(work, name + ".log")
    servers = [Server(options, "host", [source, "--workspace", os.path.join(work, "host")], log("host")),
               Server(options, "castore", [tree, "--read-only", "--state", os.path.join(work, "state")], log("castore")),
               Server(options, "workspace", [tree, "--workspace", os.path.join(work, "over")], log("over"))]
    command = [options.nfsbench, "suite", "--prepared", "--reps", str(options.reps), "--metrics", options.metrics, *sizes]
    for server in servers:
        command += ["--target", server.target]
    rows = [json.loads(line) for line in run(command).splitlines()]
    for server in servers:
        server.end()
    print("| | host folder | castore, as it is | | castore under a workspace | |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for metric in options.metrics.split(","):
        of = {row["server"]: row for row in rows if row["metric"] == metric}
        wrong = [name for name, row in of.items() if row["errors"]]
        if wrong:
            sys.exit(f"scripts/bench served: {metric}: errors of {', '.join(wrong)}")
        cost = {name: row["per_server_cpu_s"] for name, row in of.items()}
        print(f"| {metric}, {of['host']['unit'].split('/')[0]} per CPU second | {cost['host']:,.0f} | {cost['castore']:,.0f} "
              f"| {cost['castore'] / cost['host']:.2f} | {cost['workspace']:,.0f} | {cost['workspace'] / cost['host']:.2f} |")
    sys.stdout.flush()


def walks(options, work):
    source = os.path.join(work, "tree")
    for d in range((options.files + 999) // 1000):
        folder = os.path.join(source, f"d{d % 100:02}", f"e{d // 100:03}")
        os.makedirs(folder)
        for i in range(d * 1000, min(options.files, d * 1000 + 1000)):
            with open(os.path.join(folder, f"file-{i}"), "w") as out:
                out.write(f"{i}\n")
    tree = imported(options, source, work)
    walls = {"host": [], "castore": []}
    cpu = {"host": [], "castore": []}
    for rep in range(min(options.reps, 3)):
        for label in walls:
            fresh = os.path.join(work, f"{label}-{rep}")
            arguments = [source, "--workspace", fresh] if label == "host" else [tree, "--read-only", "--state", fresh]
            server = Server(options, label, arguments, fresh + ".log")
            drop_caches()
            row = json.loads(run([options.nfsbench, "walk", "--target", server.target]))
            server.end()
            if row["files"] != options.files:
                sys.exit(f"scripts/bench served: the walk of {label} found {row['files']} files")
            walls[label].append(row["wall"])
            cpu[label].append(row["server_cpu"])
            shutil.rmtree(fresh, ignore_errors=True)
    middle = {label: statistics.median(times) for label, times in walls.items()}
    print(f"\nA walk over {options.files:,} files with cold caches (libnfs, READDIRPLUS, one call in flight):\n")
    print("| | time | server's CPU |\n| --- | ---: | ---: |")
    for label in walls:
        print(f"| {label} | {middle[label]:.2f} s | {statistics.median(cpu[label]):.2f} s |")
    print(f"\nThe host folder takes {middle['host'] / middle['castore']:.2f} times as long.")


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--files", type=int, default=1000000)
    parser.add_argument("--file-mb", type=int, default=512)
    parser.add_argument("--dir-entries", type=int, default=50000)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--metrics", default=METRICS)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--strata", required=True)
    parser.add_argument("--nfsbench", required=True)
    options = parser.parse_args()
    os.makedirs(options.dir, exist_ok=True)
    for part in (calls, walks):
        if part is walks and not options.files:
            continue
        work = tempfile.mkdtemp(prefix="served.", dir=options.dir)
        os.environ["XDG_CACHE_HOME"] = os.path.join(work, "cache")
        try:
            part(options, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


main()
