# Server and client share the guest, on the literal mount line: the kernel's own lock manager asks ours, and is called back by it.
MORE=1 SQLITE_SECONDS=20 # the cases that build on this one do less
locks() { # WHAT RUNS BEFORE THE SERVER, AND BEFORE THE JOB
  INSIDE="$1
mkdir /tmp/layer && echo 'from the layer' >/tmp/layer/lower
host $strata serve /tmp/layer --workspace /tmp/workspace" \
    "$here/guest.sh" 2049 "$(cat "$here"/jobs/lib.sh)
MORE=$MORE SQLITE_SECONDS=$SQLITE_SECONDS
${2:-}
$(cat "$here"/jobs/{locks_lib,locks}.sh)"
}
locks '' || fail "the job ended with status $?"
