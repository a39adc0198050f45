# Two machines, ROLE a, b, or again (b after its power was cut); on a the server runs, with rpcbind and rpc.statd. They meet in /share.
ip route add default via $GATEWAY
: >/etc/resolv.conf # rpc.statd looks each name up, and waits for the answer
case $ROLE in
  a)
    must "mount" timeout 60 mount -t nfs $SERVER:/ /mnt
    : >/mnt/file
    must "a lock is granted on the server's own machine" held /mnt/file W 0 10
    rpcinfo -p
    rpcinfo -p | awk '$1 == 100024' | grep -qv 2049 || die "rpc.statd is not registered"
    tell a_ready
    await b_holds
    held /mnt/file W 0 4 && die "two machines hold the same bytes"
    python3 /tmp/lock.py /mnt/file Ww 0 10 >/tmp/w 2>&1 &
    sleep 1
    grep -q locked /tmp/w && die "it did not wait"
    within 30 [ -e /var/lib/nfs/sm/10.77.2.2 ]
    cat /var/lib/nfs/sm/*
    grep -q '000186b5 00000004 00000010' /var/lib/nfs/sm/10.77.2.2 || die "rpc.statd does not watch the other machine"
    tell a_waits
    await cut
    within 60 grep -q locked /tmp/w || die "the lock of a machine that started anew is held for ever"
    say "the lock of a machine that started anew is free"
    cat /tmp/w
    cd /
    must "umount" umount /mnt
    ;;
  b)
    rpcbind -w
    await a_ready
    must "mount" timeout 60 mount -t nfs $SERVER:/ /mnt
    holds /tmp/b /mnt/file W 0 10 1000
    say "a lock is granted on another machine"
    cp -a /var/lib/nfs /share/nfs
    tell b_holds
    sleep 1000
    ;;
  again)
    rpcbind -w
    sleep 0.2
    cp -a /share/nfs/. /var/lib/nfs/
    must "the machine tells that it has started anew" sm-notify -f
    sleep 20
    ;;
esac
