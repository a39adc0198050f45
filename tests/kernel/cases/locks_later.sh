# As locks, but an rpcbind is started after the server, which answers port 111 by then: rpcbind gets the machine's socket alone, and what
# registers there, as the client's lock manager does, is known to it alone.
. <(sed '/^locks /d' "$here/cases/locks.sh")
MORE= SQLITE_SECONDS=5
locks '(sleep 2; rpcbind -w; : >/tmp/rpcbind) &' '
while [ ! -e /tmp/rpcbind ]; do sleep 0.1; done
sleep 0.2
pgrep rpcbind >/dev/null || die "rpcbind does not run"' || fail "the job ended with status $?"
