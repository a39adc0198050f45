# A layer of many files: found, changed, renamed and removed on the mount.
cd /mnt
count() { find "$@" | wc -l; }
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3: $1"; }
is "$(count . -type f)" "$(cat /share/files)" "find sees every file"
forget_caches
is "$(count . -type f)" "$(cat /share/files)" "and again with cold caches"
is "$(ls flat | wc -l)" 5000 "entries of one large folder"
numbers() { (cd "$1" && find . -printf '%i %p\n' | sort -k2); }
numbers deep >/tmp/numbers
must "rename of a folder of the layer" mv deep moved
must_fail "it is no more under its old name" ls deep
numbers moved >/tmp/numbers_after
must "its files keep their numbers" cmp /tmp/numbers /tmp/numbers_after
must "a file under it is changed" sh -c 'echo changed >>moved/d3/f7 && test "$(tail -n 1 moved/d3/f7)" = changed'
is "$(stat -c %i moved/d3/f7)" "$(awk '$2 == "./d3/f7" { print $1 }' /tmp/numbers)" "copy-up keeps its number"
must "a new folder takes the old name" sh -c 'mkdir deep && echo new >deep/new'
is "$(ls deep)" new "and has nothing of the layer's in it"
must "every tenth file is removed" sh -c 'cd flat && rm -f *0'
is "$(ls flat | wc -l)" 4500 "the others are left"
must "a hundred are renamed" sh -c 'cd flat && for i in $(seq 101 2 299); do mv f$i g$i || exit 1; done'
is "$(ls flat | grep -c ^g)" 100 "and are seen"
is "$(ls flat | wc -l)" 4500 "with none lost"
must "a folder of the layer is removed" rm -rf wide
must_fail "it is gone" ls wide
must "and made again" mkdir wide
is "$(ls -A wide | wc -l)" 0 "empty"
must "links of the layer are kept" test "$(stat -c %h links/a)" = 2
must "one is written, the other shows it" sh -c 'echo more >>links/a && cmp links/a links/b'
must "a symlink of the layer reads" test "$(readlink links/s)" = a
forget_caches
is "$(ls flat | wc -l)" 4500 "with cold caches: the large folder"
must "and the changed file" test "$(tail -n 1 moved/d3/f7)" = changed
find . -printf '%p %y %s %i\n' | sort >/share/tree_seen
