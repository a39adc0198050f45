# Two machines, on the literal mount line: ROLE a, b, or again (b after its power was cut). They meet in /share. The server is at $SERVER.
rpcbind -w
sleep 0.2
if [ $ROLE = again ]; then
  cp -a /share/nfs/. /var/lib/nfs/
  must "the machine tells that it has started anew" sm-notify -f
  sleep 20
  exit 0
fi
must "mount" timeout 60 mount -t nfs $SERVER:/ /mnt
case $ROLE in
  a)
    : >/mnt/file
    holds /tmp/a /mnt/file W 0 10 1000
    holder=$!
    tell a_holds
    await b_waits
    sleep 1
    date +%s.%N >/share/released.new
    mv /share/released.new /share/released # whole from the moment that it is there
    kill -9 $holder
    await restarted
    must "others wait for what was held before the server was killed" timeout 60 flock /mnt/lower true
    held /mnt/file W 0 4 && die "the other machine's lock is lost"
    say "the other machine's lock is held"
    python3 /tmp/lock.py /mnt/file Ww 0 10 >/tmp/w 2>&1 &
    sleep 1
    grep -q locked /tmp/w && die "it did not wait"
    tell a_waits
    await cut
    within 60 grep -q locked /tmp/w || die "the lock of a machine that started anew is held for ever"
    say "the lock of a machine that started anew is free"
    cat /tmp/w
    ;;
  b)
    await a_holds
    held /mnt/file W 5 10 && die "two machines hold the same bytes"
    say "what another machine holds is refused"
    must "what it does not hold is granted" held /mnt/file W 10 10
    python3 /tmp/lock.py /mnt/file Ww 0 10 1000 >/tmp/w 2>&1 &
    sleep 1
    grep -q locked /tmp/w && die "it did not wait"
    tell b_waits
    await released
    granted_at_once /tmp/w "$(cat /share/released)" "the other machine gave it up"
    cp -a /var/lib/nfs /share/nfs
    tell b_holds
    sleep 1000
    ;;
esac
cd /
must "umount" umount /mnt
