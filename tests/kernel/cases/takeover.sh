# A new server process takes over, several times, under a running tar x and an open file (jobs/restart.sh, which asks for it). The client keeps
# its one connection all the while: nothing reconnects, nothing is sent again.
. "$here/tree.sh"

# take_over: the next process serves in place of the present one, which ends with status 0.
take_over() {
  local line= status=0
  exec {next}< <(exec "$strata" serve "$layer" --workspace "$workspace" --takeover 2>>"$log")
  local successor=$!
  if ! read -r -t 30 line <&"$next" || [[ $line != ready\ nfs=127.0.0.1:2049* ]]; then
    tail -n 20 "$log"
    fail "the new process did not take over within 30 s (it said: ${line:-nothing})"
  fi
  wait "$server" || status=$?
  [ $status = 0 ] || { tail -n 20 "$log"; fail "the old process ended with status $status"; }
  exec {ready}<&-
  server=$successor ready=$next
  takeovers=$((takeovers + 1))
}

# The ports of the clients that are connected.
clients() { ss -Htn state established "sport = :2049" | awk '{ print $4 }' | sort; }

pack_tree || fail "the archive could not be made"
echo "from the layer" >"$layer/kept"
fingerprint "$layer" >"$scratch/before"
start_server
takeovers=0
connections=
exec {lines}< <(guest restart 2>&1; echo "status $?")
status=
while read -r -t 180 line <&"$lines"; do
  echo "$line"
  case $line in
    *"reached record"*)
      [ -n "$connections" ] || connections=$(clients)
      if [ $takeovers -lt 8 ]; then
        take_over
        echo "Taken over ($takeovers)."
      fi ;;
    "restart the server now")
      take_over
      [ "$(clients)" = "$connections" ] || fail "the client had to connect anew: $connections before, $(clients) after"
      : >"$scratch/share/restarted" ;;
    "status "*) status=${line#status } ;;
  esac
done
check_layer
[ "$status" = 0 ] || { tail -n 30 "$log"; fail "the job ended with status ${status:-none within 180 s}"; }
[ $takeovers -ge 4 ] || fail "the server was taken over only $takeovers times: the archive is too small for this test"
[ -n "$connections" ] || fail "no connection was seen"
stop_server
echo "The server was taken over $takeovers times, and the client kept its connection ($connections)."
