#!/bin/bash
# kernel_test.sh STRATA CASE: one test with the Linux kernel's own NFS client. STRATA is the program, CASE a file of cases/, without its .sh.
# Each case boots a guest (guest.sh), serves a folder with STRATA, runs a script of jobs/ in the guest, and checks that the folder served has
# not changed. Exit status: 0 passed, 77 skipped (with the reason), anything else failed.
#   STRATA_TEST_VERBOSE=1   shows the server's log
set -uo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
strata=$(readlink -f "${1:?the strata program}")
case=${2:?the name of a case}

skip() { echo "Skipped: $*"; exit 77; }
fail() { echo "FAILED: $*"; exit 1; }

if [ -z "${STRATA_NAMESPACE:-}" ]; then
  [ "$(id -u)" = 0 ] || skip "the kernel client's guest needs root (namespaces, a tap device)"
  for program in linux.uml nft ip unshare; do
    command -v $program >/dev/null || skip "$program is not installed (scripts/setup test)"
  done
  [ -f "$("$here/image/build.sh" --print)" ] || skip "the guest's image has not been made (tests/kernel/image/build.sh)"
  [ -c /dev/net/tun ] || skip "there is no /dev/net/tun for the guest's network"
  unshare --net --pid --fork --mount-proc true 2>/dev/null || skip "no network and process namespaces may be made here"
  exec "$here/namespace.sh" "${BASH_SOURCE[0]}" "$strata" "$case"
fi

scratch=$(mktemp -d /tmp/strata-kernel.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/layer" "$scratch/share"
layer=$scratch/layer workspace=$scratch/workspace log=$scratch/server.log
server=

served=() # what a case serves in place of the layer
# start_server [OPTIONS...]: serves the layer, or what `served` says, on the namespace's 127.0.0.1:2049 and returns once it is ready.
start_server() {
  local line= what=("$layer" --workspace "$workspace")
  [ ${#served[@]} = 0 ] || what=("${served[@]}")
  exec {ready}< <(exec "$strata" serve "${what[@]}" --listen 127.0.0.1:2049 --portmap off "$@" 2>>"$log")
  server=$!
  if ! read -r -t 30 line <&"$ready" || [[ $line != ready\ nfs=127.0.0.1:2049* ]]; then
    tail -n 20 "$log"
    fail "the server was not ready within 30 s (it said: ${line:-nothing})"
  fi
}

# stop_server: SIGTERM, and the server ends with status 0.
stop_server() {
  local status=0
  kill -TERM "$server"
  wait "$server" || status=$?
  exec {ready}<&-
  server=
  [ $status = 0 ] || { tail -n 20 "$log"; fail "the server ended with status $status on SIGTERM"; }
}

# kill_server: kill -9, as a crash.
kill_server() {
  kill -KILL "$server"
  wait "$server" 2>/dev/null
  exec {ready}<&-
  server=
}

# One line for each object of a tree: everything that a client could have changed in it, contents included; atime apart.
fingerprint() {
  (cd "$1" && find . -printf '%p %y %m %U:%G %n %s %T@ %C@ %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

# guest JOB: runs jobs/JOB.sh in a guest on a mount of the server; what it prints is shown.
guest() {
  SHARE=$scratch/share "$here/guest.sh" 2049 "$(cat "$here/jobs/lib.sh" "$here/jobs/$1.sh")"
}

# await NAME: until a guest has made it in the share.
await() {
  for _ in $(seq ${2:-1200}); do
    [ -e "$scratch/share/$1" ] && return
    sleep 0.05
  done
  tail -n 30 "$log"
  fail "$1 does not happen"
}

# machine JOB ROLE SLOT SETTINGS: a guest of its own, at 10.77.SLOT.2, that runs jobs/JOB.sh as ROLE; what it prints is shown with the role.
machine() {
  DIRECT=1 SLOT=$3 NOMOUNT=1 SHARE=$scratch/share PIDFILE=$scratch/$2.group "$here/guest.sh" 2049 "ROLE=$2 $4
$(cat "$here"/jobs/{lib,locks_lib,"$1"}.sh)" 2>&1 | sed -u "s/^/$2: /"
  return "${PIPESTATUS[0]}"
}

# cut_power ROLE: of the guest whose PIDFILE that is, and which runs as the job $second; the others hear of it.
cut_power() {
  kill -9 -- -"$(cat "$scratch/$1.group")"
  wait "$second"
  : >"$scratch/share/cut"
  echo "The power of $1 was cut."
}

# run_job JOB: the whole of most cases. The layer must be there; afterwards it must be as it was.
run_job() {
  fingerprint "$layer" >"$scratch/before"
  start_server
  local status=0
  guest "$1" || status=$?
  check_layer
  if [ $status != 0 ]; then
    tail -n 30 "$log"
    fail "the job ended with status $status"
  fi
  stop_server
}

check_layer() {
  fingerprint "$layer" >"$scratch/after"
  cmp -s "$scratch/before" "$scratch/after" || {
    diff "$scratch/before" "$scratch/after" | head -n 20
    fail "the folder that was served has changed"
  }
  echo "The folder served is as it was ($(wc -l <"$scratch/before") facts compared)."
}

. "$here/cases/$case.sh"
[ -z "${STRATA_TEST_VERBOSE:-}" ] || cat "$log"
echo "Passed."
