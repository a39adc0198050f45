# After a restart: the same tree, by name, kind, size and inode number.
cd /mnt
find . -printf '%p %y %s %i\n' | sort >/tmp/tree
cmp /tmp/tree /share/tree_seen || { diff /tmp/tree /share/tree_seen | head -n 10; die "the tree differs after a restart"; }
say "$(wc -l </tmp/tree) objects are as they were before the restart"
