# Put before every job, in the guest.
set -u
began=$(date +%s%N)
say() { echo "[$((($(date +%s%N) - began) / 1000000)) ms] $*"; }
die() { say "FAILED: $*"; exit 1; }
# must WORDS COMMAND...: the command succeeds.
must() {
  local words=$1 output
  shift
  output=$("$@" 2>&1) || die "$words: \`$*\` ended with status $?: $(head -c 1500 <<<"$output")"
  say "$words"
}
# must_fail WORDS COMMAND...: the command fails.
must_fail() {
  local words=$1
  shift
  if "$@" >/dev/null 2>&1; then die "$words: \`$*\` succeeded"; fi
  say "$words"
}
forget_caches() { sync; echo 3 >/proc/sys/vm/drop_caches; }
