# A tree of some thousand small files: unpacked on the mount, compared, copied, removed.
cd /mnt && mkdir unpacked
must "tar x of $(tar -tf /share/tree.tar | wc -l) entries" tar -xf /share/tree.tar -C unpacked
must "tar d: equal" tar -df /share/tree.tar -C unpacked
forget_caches
must "tar d: equal with cold caches" tar -df /share/tree.tar -C unpacked
must "cp -a" cp -a unpacked copied
must "diff -r: equal" diff -r --no-dereference --exclude=fifo unpacked copied
must "the copy's times and modes are equal" sh -c 'list() { (cd $1 && find . -printf "%p %y %m %U:%G %T@ %l\n" | sort); }; list unpacked >/tmp/u; list copied >/tmp/c; cmp /tmp/u /tmp/c'
must "find counts the same" sh -c 'test $(find unpacked | wc -l) = $(tar -tf /share/tree.tar | wc -l) || test $(find unpacked | wc -l) = $(($(tar -tf /share/tree.tar | wc -l) + 1))'
must "rm -rf" rm -rf unpacked copied
test -z "$(ls -A /mnt)" || die "something is left: $(ls -A /mnt)"
say "the mount is empty"
