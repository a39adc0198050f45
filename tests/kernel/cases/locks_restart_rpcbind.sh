# As locks_restart, but an rpcbind runs.
. <(sed '/^locks /d' "$here/cases/locks_restart.sh")
HOW='kill_9 takeover'
locks 'rpcbind -w' || fail "the job ended with status $?"
