# As literal and literal_rpcbind, but the server grants no locks.
. <(sed '/^literal /d' "$here/cases/literal.sh")
literal '' off || fail "the job ended with status $?"
literal 'rpcbind -w' off || fail "with rpcbind the job ended with status $?"
