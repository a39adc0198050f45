#!/bin/bash
# power_cut_test.sh PROGRAM [ARGUMENTS...]: runs the power-cut tests (power_cut_test.cc) in a network and process namespace of their own.
# Exit status: theirs; 77 skipped (with the reason).
set -uo pipefail
kernel=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../kernel" && pwd)
skip() { echo "Skipped: $*"; exit 77; }

[ "$(id -u)" = 0 ] || skip "the guest whose power is cut needs root (namespaces, a tap device)"
for program in linux.uml nft ip unshare mke2fs; do
  command -v $program >/dev/null || skip "$program is not installed (scripts/setup test)"
done
[ -f "$("$kernel/image/build.sh" --print)" ] || skip "the guest's image has not been made (tests/kernel/image/build.sh)"
[ -c /dev/net/tun ] || skip "there is no /dev/net/tun for the guest's network"
unshare --net --pid --fork --mount-proc true 2>/dev/null || skip "no network and process namespaces may be made here"
# The guest's disk in memory where there is enough: a sync of the host's disk would only take time.
if [ -w /dev/shm ] && [ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 6000000 ]; then export TMPDIR=/dev/shm; fi
exec "$kernel/namespace.sh" "$@"
