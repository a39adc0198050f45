# Two machines lock the same file, over a LAN; the server is killed, and the power of one is cut.
mount -t tmpfs none /run # where the server answers for rpcbind
serve() {
  local line=
  exec {ready}< <(exec "$strata" serve "$layer" --workspace "$workspace" --listen 0.0.0.0:2049 --allow 10.77.0.0/16 --no-root-squash \
    2>>"$log")
  server=$!
  read -r -t 30 line <&"$ready" || { tail -n 20 "$log"; fail "the server was not ready within 30 s"; }
}
machine() { # ROLE SLOT
  DIRECT=1 SLOT=$2 NOMOUNT=1 SHARE=$scratch/share PIDFILE=$scratch/$1.group "$here/guest.sh" 2049 \
    "ROLE=$1 SERVER=10.77.$2.1
$(cat "$here"/jobs/{lib,locks_lib,locks_two}.sh)" 2>&1 | sed -u "s/^/$1: /"
  return "${PIPESTATUS[0]}"
}
echo 'from the layer' >"$layer/lower"
serve
machine a 1 &
first=$!
machine b 2 &
second=$!
await b_holds
kill_server
sleep 1
serve
: >"$scratch/share/restarted"
await a_waits
cut_power b
machine again 2 &
wait $first || { tail -n 40 "$log"; fail "a machine failed"; }
grep -E 'locks_|lock_client' "$log"
stop_server
