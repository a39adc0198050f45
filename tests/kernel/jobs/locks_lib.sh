# What the jobs about locks share. /tmp/serve starts the server of the guest.
cat >/tmp/lock.py <<'PY'
"""lock.py PATH KIND FIRST LENGTH WHAT...: takes the lock (R or W; waits with a w behind it), says so, and does what is said."""
import fcntl, os, sys, time
path, kind, first, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
fd = os.open(path, os.O_RDWR)
how = (fcntl.LOCK_EX if kind[0] == 'W' else fcntl.LOCK_SH) | (0 if kind.endswith('w') else fcntl.LOCK_NB)
begun = time.monotonic()
try:
    fcntl.lockf(fd, how, length, first)
except OSError as error:
    print('refused', error.errno, flush=True)
    sys.exit(1)
print('locked', '%.3f' % (time.monotonic() - begun), time.time(), flush=True)
for what in sys.argv[5:]:
    if what.startswith('unlock'):
        _, a, b = what.split(':')
        fcntl.lockf(fd, fcntl.LOCK_UN, int(b), int(a))
        print('unlocked', time.time(), flush=True)
    else:
        time.sleep(float(what))
PY
within() { # SECONDS COMMAND...: whether it succeeds within so many
  local tries=$(($1 * 20))
  shift
  for _ in $(seq $tries); do
    "$@" && return
    sleep 0.05
  done
  return 1
}
held() { python3 /tmp/lock.py "$@"; }
holds() { # OUTPUT ARGUMENTS...: in the background, once it holds the lock
  local out=$1
  shift
  python3 /tmp/lock.py "$@" >"$out" 2>&1 &
  within 10 grep -q locked "$out" || {
    cat "$out"
    die "it does not get the lock: $*"
  }
}
# Within 0.5 s of the time, of which most is this job's own. OUTPUT TIME WORDS
granted_at_once() {
  within 10 grep -q locked "$1" || die "it was not granted at all ($3)"
  python3 - "$1" "$2" "$3" <<'PY' || die "it was not granted within 0.5 s ($3)"
import sys
late = float(open(sys.argv[1]).read().split()[2]) - float(sys.argv[2])
print('granted %.3f s after %s' % (late, sys.argv[3]))
sys.exit(0 if late < 0.5 else 1)
PY
}
# For several machines, which meet in /share.
tell() { : >/share/$1; }
await() { within 60 [ -e /share/$1 ] || die "$1 does not happen"; }
