# Two machines lock the same file, over a LAN; the server is killed, and the power of one is cut.
mount -t tmpfs none /run # where the server answers for rpcbind
serve() {
  local line=
  exec {ready}< <(exec "$strata" serve "$layer" --workspace "$workspace" --listen 0.0.0.0:2049 --allow 10.77.0.0/16 --no-root-squash \
    2>>"$log")
  server=$!
  read -r -t 30 line <&"$ready" || { tail -n 20 "$log"; fail "the server was not ready within 30 s"; }
}
echo 'from the layer' >"$layer/lower"
serve
machine locks_two a 1 'SERVER=10.77.1.1' &
first=$!
machine locks_two b 2 'SERVER=10.77.2.1' &
second=$!
await b_holds
kill_server
sleep 1
serve
: >"$scratch/share/restarted"
await a_waits
cut_power b
machine locks_two again 2 'SERVER=10.77.2.1' &
wait $first || { tail -n 40 "$log"; fail "a machine failed"; }
grep -E 'locks_|lock_client' "$log"
stop_server
