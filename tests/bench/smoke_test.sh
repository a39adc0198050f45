#!/bin/bash
# smoke_test.sh NFSBENCH CLIENT: every metric once against the floor, briefly: one line a metric, none with an error but those that a server of
# constants cannot satisfy (its lists have a fixed length).
set -euo pipefail
nfsbench=$1 client=$2
exec {floor}< <(exec "$nfsbench" floor --port 0 --entries 3000)
pid=$!
trap 'kill $pid' EXIT
read -r -t 20 line <&"$floor"
[[ $line == ready\ nfs=127.0.0.1:* ]] || { echo "the floor said: $line"; exit 1; }
port=${line#ready nfs=127.0.0.1:}
port=${port%% *}
results=$("$nfsbench" suite --client "$client" --target "floor,nfs://127.0.0.1/x?nfsport=$port&mountport=$port&version=3,$pid" --reps 1 --secs 0.05 \
  --file-mb 8 --files 100 --dir-entries 3000 --lat-samples 100 --locks 1000)
echo "$results"
metrics=$("$nfsbench" --help | grep -oE 'of: .*' | wc -w)
[ "$(grep -c '"errors":0,' <<<"$results")" = $((metrics - 1)) ] || { echo "not every metric has a line without errors"; exit 1; }
