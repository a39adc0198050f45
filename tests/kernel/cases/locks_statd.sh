# The server runs on a machine with rpcbind and rpc.statd. Another machine locks, and its power is cut: when it starts anew, rpc.statd hears
# of it, and tells the server.
echo 1 >/proc/sys/net/ipv4/ip_forward
machine() { # ROLE SLOT
  DIRECT=1 SLOT=$2 NOMOUNT=1 SHARE=$scratch/share PIDFILE=$scratch/$1.group "$here/guest.sh" 2049 \
    "ROLE=$1 GATEWAY=10.77.$2.1 SERVER=10.77.1.2
$(cat "$here"/jobs/{lib,locks_lib,locks_statd}.sh)" 2>&1 | sed -u "s/^/$1: /"
  return "${PIPESTATUS[0]}"
}
INSIDE="rpcbind -w
mkdir /tmp/layer && echo 'from the layer' >/tmp/layer/lower
host $strata serve /tmp/layer --workspace /tmp/workspace --listen 0.0.0.0:2049 --allow 10.77.0.0/16 --no-root-squash" \
  machine a 1 &
first=$!
machine b 2 &
second=$!
await a_waits
cut_power b
machine again 2 &
wait $first || fail "a machine failed"
