# As literal, but an rpcbind runs first: the server registers with it.
. <(sed '/^literal /d' "$here/cases/literal.sh")
literal 'rpcbind -w' || fail "the job ended with status $?"
