# The tree as it is, where what is equal shows one inode number.
cd /mnt
one=$(stat -c %i equal/one/f)
[ "$one" = "$(stat -c %i equal/two/f)" ] && [ "$one" = "$(stat -c %i equal/g)" ] || die "$(stat -c '%n %i' equal/*/f equal/g)"
[ "$(stat -c %i equal/one)" = "$(stat -c %i equal/two)" ] || die "$(stat -c '%n %i' equal/*)"
[ "$one" != "$(stat -c %i symlink)" ] || die "all show the same"
say "equal files and directories show one number"
[ "$(ls -Ui equal/one | cut -d ' ' -f 1)" = "$one" ] || die "the listing shows another: $(ls -Ui equal/one)"
find . -printf '%P %y %l\n' | sort >/tmp/names
cmp /tmp/names /share/names || die "other names: $(diff /tmp/names /share/names | head -c 500)"
[ "$(cd equal/two && cd .. && pwd -P)" = /mnt/equal ] || die ".. leads elsewhere"
say "each is found in its place"
find . -type f -exec sha256sum {} + | sort | cmp - /share/sums || die "other bytes"
say "and has its bytes"
[ "$(grep -c ' /mnt' /proc/mounts)" = 1 ] || die "something is taken for a mount point: $(grep ' /mnt' /proc/mounts)"
