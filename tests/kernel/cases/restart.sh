# The server is killed with -9, several times, under a running tar x, and started again on the same port and workspace. The mount is hard: tar
# waits and goes on. What tells that it is time is tar's own progress, not a clock.
. "$here/tree.sh"
pack_tree || fail "the archive could not be made"
echo "from the layer" >"$layer/kept"
fingerprint "$layer" >"$scratch/before"
start_server
kills=0
exec {lines}< <(guest restart 2>&1; echo "status $?")
status=
while read -r -t 180 line <&"$lines"; do
  echo "$line"
  case $line in
    *"reached record"*)
      if [ $kills -lt 6 ]; then
        kill_server
        kills=$((kills + 1))
        start_server
        echo "Killed with -9 and started again ($kills)."
      fi ;;
    "restart the server now")
      kill_server
      kills=$((kills + 1))
      start_server
      : >"$scratch/share/restarted" ;;
    "status "*) status=${line#status } ;;
  esac
done
check_layer
[ "$status" = 0 ] || { tail -n 30 "$log"; fail "the job ended with status ${status:-none within 180 s}"; }
[ $kills -ge 4 ] || fail "the server was killed only $kills times: the archive is too small for this test"
stop_server
echo "The server was killed $kills times."
