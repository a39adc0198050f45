# The server runs on a machine with rpcbind and rpc.statd. Another machine locks, and its power is cut: when it starts anew, rpc.statd hears
# of it, and tells the server.
echo 1 >/proc/sys/net/ipv4/ip_forward
INSIDE="rpcbind -w
mkdir /tmp/layer && echo 'from the layer' >/tmp/layer/lower
host $strata serve /tmp/layer --workspace /tmp/workspace --listen 0.0.0.0:2049 --allow 10.77.0.0/16 --no-root-squash" \
  machine locks_statd a 1 'GATEWAY=10.77.1.1 SERVER=10.77.1.2' &
first=$!
machine locks_statd b 2 'GATEWAY=10.77.2.1 SERVER=10.77.1.2' &
second=$!
await a_waits
cut_power b
machine locks_statd again 2 'GATEWAY=10.77.2.1 SERVER=10.77.1.2' &
wait $first || fail "a machine failed"
