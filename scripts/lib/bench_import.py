#!/usr/bin/env python3
# scripts/bench import [OPTIONS]: importing into an empty store, importing the same again, and what is stored, by strata, restic and borg side by
# side on one file system, caches dropped before each. Prints the table of docs/performance.md. Needs root, to drop the caches.
#   --files N          small files (100000; 0 for none), --bytes B of them in all (1000000000)
#   --large BYTES      of one large file, half text and half noise (4294967296); 0 for none. Beside it, what the disk alone takes: to read the
#                      file and to write what strata stored
#   --reps N           repetitions (3); medians are shown
#   --dir DIR          where all of it lies (default build/bench)
#   --tools A,B        of strata, restic and borg
#   --stream N         instead: N files in an archive made on the fly, from standard input; time and peak memory
import argparse, json, os, random, resource, shutil, statistics, subprocess, sys, tempfile, threading, time

WORDS = [w.strip() for w in """the of and to in is that for it as was with be by on not he this are or his from at which but have an had they
you were their one all we can her has there been if more when will would who so no said what up its about into them than only other time new some
could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years
where much your way down should because long each just state those people too mister good very make world still see own work men day get here""".split()]


def text(rng, size):
    out, length = [], 0
    while length < size:
        line = " ".join(rng.choices(WORDS, k=12)) + f" {rng.randrange(1 << 30)}\n"
        out.append(line)
        length += len(line)
    return "".join(out).encode()[:size]


def programs(limit=256 << 20):
    """What machines hold beside text: the libraries and programs of this one."""
    found, total = [], 0
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/bin", "/usr/lib"):
        if not os.path.isdir(folder):
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) < 4096:
                continue
            found.append(path)
            total += os.path.getsize(path)
            if total >= limit:
                return found
    return found


def make_small(folder, files, size):
    """Half the bytes text, half cut from programs; sizes spread from a tenth to four times the mean."""
    rng = random.Random(1)
    pool = text(rng, 8 << 20)
    binaries = b"".join(open(p, "rb").read() for p in programs(64 << 20))
    mean = size // files
    for i in range(files):
        directory = os.path.join(folder, f"d{i // 4096:03}", f"e{i // 64 % 64:02}")
        if i % 64 == 0:
            os.makedirs(directory, exist_ok=True)
        length = max(1, int(mean * (0.1 + rng.expovariate(1 / 0.9))))
        source = pool if rng.random() < 0.5 else binaries
        start = rng.randrange(max(1, len(source) - length))
        # No two are alike.
        with open(os.path.join(directory, f"f{i}"), "wb") as out:
            out.write(b"%d\n" % i + source[start:start + length])


def make_large(path, size):
    rng = random.Random(2)
    pool = text(rng, 64 << 20)
    with open(path, "wb") as out:
        done = 0
        while done < size:
            part = min(8 << 20, size - done)
            if done // (8 << 20) % 2:
                out.write(rng.randbytes(part))
            else:
                start = rng.randrange(len(pool) - part)
                out.write(b"%d\n" % done + pool[start:start + part - 20].ljust(part, b"\n")[: part - len(b"%d\n" % done)])
            done += part


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as control:
        control.write("3\n")


def peak_of(pid, stop, peak):
    """The largest resident set of the process, in KiB, looked at every 20 ms."""
    while not stop.wait(0.02):
        try:
            with open(f"/proc/{pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        peak[0] = max(peak[0], int(line.split()[1]))
        except OSError:
            return


def timed(command, env=None, stdin=None):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    child = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stop, peak = threading.Event(), [0]
    watcher = threading.Thread(target=peak_of, args=(child.pid, stop, peak))
    watcher.start()
    out, err = child.communicate()
    os.sync()  # what is promised is on the disk
    wall = time.monotonic() - start
    stop.set()
    watcher.join()
    if child.returncode != 0:
        sys.exit(f"scripts/bench import: {' '.join(command)} failed:\n{err.decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "rss_kib": peak[0], "out": out.decode(errors="replace")}


def size_of(folder):
    return sum(os.lstat(os.path.join(at, name)).st_blocks * 512 for at, _, names in os.walk(folder) for name in names)


def run(tool, strata, source, work):
    """First import, second import, bytes on the disk."""
    store = os.path.join(work, "store-" + tool)
    env = {"XDG_CACHE_HOME": os.path.join(work, "cache"), "RESTIC_PASSWORD": "x", "BORG_BASE_DIR": os.path.join(work, "borg"),
           "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
    for path in (store, env["XDG_CACHE_HOME"], env["BORG_BASE_DIR"]):
        shutil.rmtree(path, ignore_errors=True)
    if tool == "strata":
        timed([strata, "store", "init", store], env)
        command = lambda n: [strata, "import", source, "--store", store, "--name", "bench"]
    elif tool == "restic":
        timed(["restic", "init", "-q", "--repo", store], env)
        command = lambda n: ["restic", "backup", "-q", "--repo", store, source]
    else:
        timed(["borg", "init", "-e", "none", store], env)
        command = lambda n: ["borg", "create", f"{store}::a{n}", source]
    drop_caches()
    first = timed(command(1), env)
    drop_caches()
    second = timed(command(2), env)
    result = {"first": first, "second": second, "bytes": size_of(store)}
    shutil.rmtree(store)
    return result


def disk(path, size, work):
    """Seconds to read a file and to write and sync as many bytes as were stored, side by side: what the disk allows."""
    def read():
        piece = bytearray(8 << 20)
        with open(path, "rb", buffering=0) as source:
            while source.readinto(piece):
                pass

    def write():
        piece = random.Random(3).randbytes(8 << 20)
        with open(os.path.join(work, "disk"), "wb", buffering=0) as out:
            for at in range(0, size, len(piece)):
                out.write(piece[:size - at])
            os.fsync(out.fileno())

    drop_caches()
    start = time.monotonic()
    threads = [threading.Thread(target=each) for each in (read, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.monotonic() - start
    os.remove(os.path.join(work, "disk"))
    return wall


def compare(options, strata, source, work, what, file=None):
    results = {tool: [] for tool in options.tools}
    plain = []
    for _ in range(options.reps):
        for tool in options.tools:
            results[tool].append(run(tool, strata, source, work))
            if file and tool == "strata":
                plain.append(disk(file, results[tool][-1]["bytes"], work))
    print(f"\n{what}\n")
    print("| | import | again | CPU | peak memory | stored |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    middle = lambda runs, get: statistics.median(get(r) for r in runs)
    for tool, runs in results.items():
        print(f"| {tool} | {middle(runs, lambda r: r['first']['wall']):.2f} s | {middle(runs, lambda r: r['second']['wall']):.2f} s "
              f"| {middle(runs, lambda r: r['first']['cpu']):.2f} s | {middle(runs, lambda r: r['first']['rss_kib']) / 1024:.0f} MiB "
              f"| {middle(runs, lambda r: r['bytes']) / 1e6:.0f} MB |")
    if plain:
        print(f"| the disk alone | {statistics.median(plain):.2f} s | | | | |")
    if "strata" in results:
        mine = middle(results["strata"], lambda r: r["first"]["wall"])
        again = middle(results["strata"], lambda r: r["second"]["wall"])
        print(f"\nThe second import takes 1/{mine / again:.1f} of the first.")
        for tool, runs in results.items():
            if tool != "strata":
                print(f"{tool} takes {middle(runs, lambda r: r['first']['wall']) / mine:.2f} times as long; "
                      f"strata stores {middle(results['strata'], lambda r: r['bytes']) / middle(runs, lambda r: r['bytes']):.2f} of its bytes.")
    sys.stdout.flush()


def stream(files):
    """A plain archive of small files, to standard output."""
    def header(name, size):
        block = bytearray(512)
        block[0:len(name)] = name
        block[100:108] = b"0000644\0"
        block[108:124] = b"0000000\0" * 2
        block[124:136] = b"%011o\0" % size
        block[136:148] = b"%011o\0" % 0
        block[148:156] = b" " * 8
        block[156:157] = b"0"
        block[257:265] = b"ustar\00000"
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)
    out = sys.stdout.buffer
    pieces = []
    for i in range(files):
        content = b"%d of many small files\n" % i
        pieces.append(header(b"root/%03d/%03d/%d" % (i // 1000000, i // 1000 % 1000, i), len(content)) + content.ljust(512, b"\0"))
        if len(pieces) == 2048:
            out.write(b"".join(pieces))
            pieces.clear()
    out.write(b"".join(pieces) + bytes(1024))


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--files", type=int, default=100000)
    parser.add_argument("--bytes", type=int, default=1000000000)
    parser.add_argument("--large", type=int, default=4 << 30)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--strata", required=True)
    parser.add_argument("--tools", default="strata,restic,borg", type=lambda text: text.split(","))
    parser.add_argument("--stream", type=int, default=0)
    parser.add_argument("--make-stream", type=int, default=0)
    options = parser.parse_args()
    if options.make_stream:
        return stream(options.make_stream)
    os.makedirs(options.dir, exist_ok=True)
    work = tempfile.mkdtemp(prefix="import.", dir=options.dir)
    try:
        if options.stream:
            store = os.path.join(work, "store")
            timed([options.strata, "store", "init", store])
            maker = subprocess.Popen([sys.executable, __file__, "--make-stream", str(options.stream), "--dir", "x", "--strata", "x"],
                                     stdout=subprocess.PIPE)
            done = timed([options.strata, "import", "-", "--store", store, "--name", "stream"], stdin=maker.stdout)
            print(f"{options.stream} files from standard input: {done['wall']:.1f} s, {options.stream / done['wall']:.0f} files a second, "
                  f"peak memory {done['rss_kib'] / 1024:.0f} MiB, {size_of(store) / 1e6:.0f} MB stored")
            return
        if options.files:
            small = os.path.join(work, "small")
            make_small(small, options.files, options.bytes)
            compare(options, options.strata, small, work, f"{options.files} small files, {options.bytes / 1e6:.0f} MB, half text and half programs:")
            shutil.rmtree(small)
        if options.large:
            large = os.path.join(work, "large")
            os.mkdir(large)
            make_large(os.path.join(large, "file"), options.large)
            compare(options, options.strata, large, work, f"One file of {options.large / 1e6:.0f} MB, half text and half noise:",
                    os.path.join(large, "file"))
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
