# The tree as it is, read-only.
cd /mnt
find . -printf '%P %y %l\n' | sort >/tmp/names
cmp /tmp/names /share/names || die "other names: $(diff /tmp/names /share/names | head -c 500)"
say "all names, types and targets are those of the folder ($(wc -l </tmp/names))"
find . -type f -exec sha256sum {} + | sort | cmp - /share/sums || die "other bytes"
say "and all bytes"
[ "$(stat -c '%u %Y' .)" = "0 0" ] || die "attributes: $(stat .)"
[ -z "$(find . -type f ! -perm 0444 ! -perm 0555 -print -quit)" ] || die "a file has another mode"
say "files are 0444 or 0555"
must_fail "nothing is made" touch new
touch new 2>&1 | grep -q "Read-only file system" || die "touch says: $(touch new 2>&1)"
must "git fsck" git --git-dir=/mnt/repository.git -c safe.directory='*' fsck --strict
must "git clone" git -c safe.directory='*' clone -q /mnt/repository.git /tmp/clone
must "has what was committed" test "$(tail -n 1 /tmp/clone/numbers)" = 5000
[ "$(cat .strata/xattr/user.tvix.castore.directory.digest/.self)" = "$(cat /share/digest)" ] || die "the root's digest differs"
say "the root's digest can be read"
inode=$(stat -c %i repository.git/HEAD)
exec 5<repository.git/HEAD
echo "restart the server now"
for _ in $(seq 600); do [ -e /share/restarted ] && break; sleep 0.1; done
[ -e /share/restarted ] || die "the server was not restarted"
forget_caches
read -r word <&5 || die "the open file cannot be read"
say "a file held open over the restart reads on: $word"
[ "$(stat -c %i repository.git/HEAD)" = "$inode" ] || die "its number has changed"
find . -type f -exec sha256sum {} + | sort | cmp - /share/sums || die "other bytes after the restart"
say "and all is there as before"
