# Server and client share the guest, as on a user's machine; no rpcbind runs, so that the server answers on port 111 itself.
literal() { # WHAT RUNS BEFORE THE SERVER
  INSIDE="$1
mkdir /tmp/layer && echo 'from the layer' >/tmp/layer/lower
host $strata serve /tmp/layer --workspace /tmp/workspace" \
    "$here/guest.sh" 2049 "$(cat "$here/jobs/lib.sh" "$here/jobs/literal.sh")"
}
literal '' || fail "the job ended with status $?"
