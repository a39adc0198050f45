# As locks, but an rpcbind runs first, where the client's lock manager takes the server's place as it mounts.
. <(sed '/^locks /d' "$here/cases/locks.sh")
MORE= SQLITE_SECONDS=5
locks 'rpcbind -w' || fail "the job ended with status $?"
