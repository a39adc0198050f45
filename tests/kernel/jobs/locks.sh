# Two mounts of one server that know nothing of each other: what one holds the other hears of the server alone.
mkdir -p /mnt /mnt2
must "mount" timeout 60 mount -t nfs -o nosharecache localhost:/ /mnt
must "mount again" timeout 60 mount -t nfs -o nosharecache localhost:/ /mnt2
: >/mnt/file
must "a lock is granted" held /mnt/file W 0 10
must "and given up with its process" held /mnt2/file W 0 10
holds /tmp/a /mnt/file W 0 10 unlock:4:2 1000
holder=$!
held /mnt2/file W 0 4 && die "two hold the same bytes"
held /mnt2/file R 8 2 && die "one shares what another holds alone"
must "what was given up in the middle is free" held /mnt2/file W 4 2
must "and what was never held" held /mnt2/file W 10 0
grep -q POSIX /proc/locks || die "/proc/locks does not show it"
say "/proc/locks shows it"
lslocks | grep -q '/mnt/file' || { lslocks; die "lslocks does not show it"; }
say "lslocks names the file"
holds /tmp/b /mnt2/file R 20 5 1000
sharer=$!
must "a shared lock is shared" held /mnt/file R 20 5
held /mnt/file W 20 5 && die "one holds alone what another shares"
# Waiting, and being granted within 0.1 s of the unlock.
python3 /tmp/lock.py /mnt2/file Ww 0 10 >/tmp/w 2>&1 &
waiter=$!
sleep 2
grep -q locked /tmp/w && die "it did not wait"
end=$(date +%s.%N)
kill -9 $holder
granted_at_once /tmp/w "$end" "the holder was killed"
say "who waited was granted the lock"
# A signal ends the waiting, and nothing is left behind.
holds /tmp/c /mnt/file W 100 10 1000
holder=$!
python3 /tmp/lock.py /mnt2/file Ww 100 10 >/tmp/w 2>&1 &
waiter=$!
sleep 1
kill $waiter
wait $waiter
kill $holder $sharer
sleep 0.5
must "a lock whose waiter was killed is free" held /mnt/file W 100 10
# flock(2).
must "flock is granted" flock -n /mnt/file true
flock /mnt/file sleep 1000 &
holder=$!
sleep 1
flock -n /mnt2/file true && die "flock does not exclude"
say "flock excludes"
kill $holder
pkill sleep
sleep 0.5
must "and is given up" flock -w 20 /mnt2/file true
# SQLite with two writers, in its rollback journal mode.
cat >/tmp/writer.py <<'PY'
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
end, count = time.time() + float(sys.argv[3]), 0
while time.time() < end:
    db.execute('BEGIN IMMEDIATE')
    db.execute('INSERT INTO t VALUES (?, ?)', (sys.argv[2], count))
    db.execute('COMMIT')
    count += 1
print(sys.argv[2], count)
PY
python3 -c "import sqlite3; sqlite3.connect('/mnt/db').execute('CREATE TABLE t (who, n)')" || die "no table"
python3 /tmp/writer.py /mnt/db a $SQLITE_SECONDS >/tmp/wa 2>&1 &
first=$!
python3 /tmp/writer.py /mnt2/db b $SQLITE_SECONDS >/tmp/wb 2>&1 || { cat /tmp/wb; die "the second writer failed"; }
wait $first || { cat /tmp/wa; die "the first writer failed"; }
cat /tmp/wa /tmp/wb
expected=$(awk '{sum += $2} END {print sum}' /tmp/wa /tmp/wb)
found=$(python3 -c "
import sqlite3
db = sqlite3.connect('/mnt/db')
assert db.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
print(db.execute('SELECT count(*) FROM t').fetchone()[0])")
[ "$found" = "$expected" ] || die "$found rows instead of $expected"
say "two writers of one SQLite database lose nothing: $found rows"
if [ "$MORE" ]; then
  # git gc beside git commit, each by a mount of its own.
  git config --global user.email a@b.c
  git config --global user.name a
  git config --global gc.auto 0
  git config --global safe.directory '*'
  git init -q /mnt/repository || die "git init"
  (cd /mnt/repository && for i in $(seq 20); do echo $i >f$i && git add f$i && git commit -qm $i || exit 1; done) >/tmp/git 2>&1 &
  committer=$!
  for i in $(seq 4); do
    sleep 0.5
    (cd /mnt2/repository && git gc -q) >/tmp/gc 2>&1 || { cat /tmp/gc; [ $i = 1 ] || die "git gc failed beside git commit"; }
  done
  wait $committer || { cat /tmp/git; die "git commit failed beside git gc"; }
  must "git gc beside git commit leaves the repository whole" git -C /mnt2/repository fsck --strict
  [ "$(git -C /mnt2/repository rev-list --count HEAD)" = 20 ] || die "commits are missing"
  # dpkg locks its database, also against the dpkg of another machine.
  mkdir -p /tmp/deb/DEBIAN /tmp/deb/opt /mnt/dpkg/updates /mnt/dpkg/info /mnt/root
  echo hello >/tmp/deb/opt/hello
  printf 'Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: a\n' >/tmp/deb/DEBIAN/control
  : >/mnt/dpkg/status
  : >/mnt/dpkg/available
  must "a package is made" dpkg-deb -b /tmp/deb /tmp/hello.deb
  : >/mnt/dpkg/lock
  holds /tmp/d /mnt2/dpkg/lock W 0 0 1000
  holder=$!
  dpkg --admindir=/mnt/dpkg --instdir=/mnt/root --log=/tmp/dpkg.log --force-script-chrootless -i /tmp/hello.deb >/tmp/out 2>&1 && die "dpkg does not see the lock of another"
  grep -q 'locked by another' /tmp/out || { cat /tmp/out; die "dpkg fails otherwise"; }
  say "dpkg is kept out by the lock of another"
  kill $holder
  sleep 0.3
  must "dpkg installs" dpkg --admindir=/mnt/dpkg --instdir=/mnt/root --log=/tmp/dpkg.log --force-script-chrootless -i /tmp/hello.deb
  [ "$(cat /mnt2/root/opt/hello)" = hello ] || die "what dpkg installed is not there"
fi
cd /
must "umount" umount /mnt2
must "umount" umount /mnt
