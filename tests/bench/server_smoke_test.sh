#!/bin/bash
# server_smoke_test.sh NFSBENCH STRATA: what needs a server that makes checkpoints, and dies, once and briefly: every line is there, without errors, and
# checkpoints, kills and replayed records were seen.
set -euo pipefail
nfsbench=$1 strata=$2
work=$(mktemp -d)
pid=
cleanup() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/layer"
"$nfsbench" prepare "$work/layer" --file-mb 2 --dir-entries 3000
# So little memory that checkpoints come often.
command=("$strata" --log-level debug serve "$work/layer" --workspace "$work/workspace" --portmap off --insecure-ports --memory 16M)
fail() { echo "$*"; cat "$work/log"; exit 1; }

exec {out}< <(exec "${command[@]}" --listen 127.0.0.1:0 2>"$work/log")
pid=$!
read -r -t 30 line <&"$out" || fail "strata was not ready"
port=${line#ready nfs=127.0.0.1:}
port=${port%% *}
target="strata,nfs://127.0.0.1/?nfsport=$port&mountport=$port&version=3"
results=$("$nfsbench" suite --prepared --metrics getattr,lookup,seq_read,rand_read4k,readdirplus,readdir --file-mb 2 --dir-entries 3000 --reps 1 \
  --secs 0.1 --target "$target,$pid")
echo "$results"
[ "$(grep -c '"errors":0,' <<<"$results")" = 6 ] || fail "not every metric of what was prepared has a line without errors"
results=$("$nfsbench" walk --target "$target,$pid")
echo "$results"
grep -q '"files":4001,"directories":4,' <<<"$results" || fail "the walk missed something"
results=$("$nfsbench" checkpoint --target "$target,$pid" --log "$work/log" --secs 2 --file-mb 1)
echo "$results"
[ "$(grep -c '"errors":0' <<<"$results")" = 9 ] || fail "not every line of the checkpoints is there without errors"
grep -q '"metric":"checkpoint_rate".*"ratio":0\.0\{3\}' <<<"$results" && fail "no file was made while a checkpoint ran"
kill "$pid"
wait "$pid" || fail "strata ended badly"
pid=

# The port is free now, and loopback's ports are not given again at once.
results=$("$nfsbench" restart --target "$target" --log "$work/log" --files 2000 --dirs 4 --reps 2 -- "${command[@]}" --listen "127.0.0.1:$port")
echo "$results"
for metric in restart_quiet restart_create_write restart_create; do
  grep -q "\"metric\":\"$metric\".*\"files\":2000,\"reps\":2,.*\"errors\":0" <<<"$results" || fail "no $metric"
done
grep -q '"metric":"restart_quiet".*"records":0,' <<<"$results" || fail "something was replayed in a quiet state"
grep '"metric":"restart_create"' <<<"$results" | grep -q '"records":[1-9]' || fail "nothing was replayed after a burst"

results=$("$nfsbench" disk "$work" --secs 0.05)
echo "$results"
[ "$(grep -c '"median":[1-9]' <<<"$results")" = 4 ] || fail "not every line of the disk is there"
