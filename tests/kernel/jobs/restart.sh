# tar x, with checkpoints that the host answers by killing the server; then the comparison.
mkdir /mnt/unpacked
tar -xf /share/tree.tar -C /mnt/unpacked --checkpoint=100 --checkpoint-action=echo="reached record %u" || die "tar ended with status $?"
say "tar x has ended"
echo "held open" >/mnt/held
exec 5</mnt/held
echo "restart the server now"
for _ in $(seq 600); do [ -e /share/restarted ] && break; sleep 0.1; done
[ -e /share/restarted ] || die "the server was not restarted"
forget_caches
read -r word <&5 && [ "$word" = "held open" ] || die "the open file reads '${word:-}'"
say "a file held open over the restart reads on"
# A server that was started anew has another write verifier: data that the client had not committed yet it sends again, perhaps after tar set the file's
# time, and the time is then that of the write. That is NFSv3's way, for the file that was being closed: at most one for each time that the host restarts
# the server, which it does nine times at most. All else must be equal.
differs=$(tar -df /share/tree.tar -C /mnt/unpacked 2>&1)
times=$(grep -c ': Mod time differs$' <<<"$differs")
[ "$times" -le 9 ] && ! grep -v ': Mod time differs$' <<<"$differs" | grep -q . || die "tar d: not equal: $differs"
say "tar d: equal"
must "rm -rf" rm -rf /mnt/unpacked
