cd /mnt
find . ! -path "./.strata*" -printf '%P %y %s %l\n' | sort >/tmp/over
cmp /tmp/over /share/over || die "not as it was: $(diff /tmp/over /share/over | head -c 800)"
say "all is as it was ($(wc -l </tmp/over))"
[ "$(cat new)" = new ] || die "the new file reads $(cat new)"
