# The bare line, with no option, as the README has it; the server is inside, so there is no $NFS_DEVICE.
must "mount -t nfs localhost:/ /mnt" timeout 60 mount -t nfs localhost:/ /mnt
grep ' /mnt nfs' /proc/mounts || die "it is not in /proc/mounts"
cd /mnt
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3"; }
is "$(cat lower)" "from the layer" "a file of the layer reads"
must "a file is written and read" sh -c 'echo hi >literal && test "$(cat literal)" = hi'
is "$(cat /tmp/layer/lower) $(ls /tmp/layer)" "from the layer lower" "the folder has not changed"
must "rpcinfo -p answers" sh -c 'rpcinfo -p localhost >/tmp/rpcinfo'
grep -Eq '100003 +3 +tcp +2049' /tmp/rpcinfo || { cat /tmp/rpcinfo; die "rpcinfo does not name NFS"; }
say "and names NFS"
must "showmount -e answers" sh -c 'showmount -e localhost | grep -q "^/ "'
timeout 20 flock -n literal true
status=$?
if [ "$LOCKS" = on ]; then
  [ $status = 0 ] || die "flock fails"
  say "flock locks"
else
  [ $status != 124 ] || die "flock hangs where no locks are granted"
  [ $status != 0 ] || die "flock locks where no locks are granted"
  say "flock says at once that no locks are granted"
fi
pidof rpc.statd >/dev/null && say "rpc.statd runs" || die "rpc.statd was not started"
cd /
must "umount" umount /mnt
# What `strata serve` prints for Linux works as it is printed.
command=$(grep -o 'mount -t nfs .*' /host/inside.log | head -n 1)
[ -n "$command" ] || { cat /host/inside.log; die "the server printed no mount command for Linux"; }
grep -q nolock <<<"$command" && printed=off || printed=on
[ $printed = $LOCKS ] || die "with --locks $LOCKS it prints: $command"
command=$(sed 's# [^ ]*$# /mnt#' <<<"$command")
must "what the server prints works: $command" timeout 60 sh -c "$command"
is "$(cat /mnt/literal)" hi "and shows the same tree"
must "umount" umount /mnt
