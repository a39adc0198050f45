# As literal, but an rpcbind runs first: the server registers with it.
. <(sed '/^literal /d' "$here/cases/literal.sh")
literal 'rpcbind -w' on || fail "the job ended with status $?"
