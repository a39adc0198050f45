# Server and client share the guest, as on a user's machine; no rpcbind runs, so that the server answers on port 111 itself.
literal() { # WHAT RUNS BEFORE THE SERVER, on OR off
  INSIDE="$1
mkdir /tmp/layer && echo 'from the layer' >/tmp/layer/lower
host $strata serve /tmp/layer --workspace /tmp/workspace $([ $2 = on ] || echo --locks $2)" \
    "$here/guest.sh" 2049 "LOCKS=$2
$(cat "$here/jobs/lib.sh" "$here/jobs/literal.sh")"
}
literal '' on || fail "the job ended with status $?"
