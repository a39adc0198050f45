# The server is killed, stopped and taken over under one who holds a lock and one who waits for it; all on one machine, on the literal mount
# line.
HOW='kill_9 stop kill_9 takeover'
locks() { # WHAT RUNS BEFORE THE SERVER
  INSIDE="$1
mkdir /tmp/layer && echo 'from the layer' >/tmp/layer/lower
cat >/tmp/serve <<'SERVE'
#!/bin/bash
exec env LD_LIBRARY_PATH=/hostroot/usr/lib/x86_64-linux-gnu:/hostroot/usr/local/lib \
  /hostroot$strata serve /tmp/layer --workspace /tmp/workspace \"\$@\"
SERVE
chmod +x /tmp/serve
exec /tmp/serve >>/tmp/ready 2>>/tmp/log" \
    "$here/guest.sh" 2049 "HOW='$HOW'
$(cat "$here"/jobs/{lib,locks_lib,locks_restart}.sh)"
}
locks '' || fail "the job ended with status $?"
