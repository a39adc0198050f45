# Sourced by the other scripts; $root is the source tree.

# What one clone has compiled serves every other at another place.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

# build_preset PRESET [TARGET...]: configures build/PRESET where that has not been done, and builds the targets (all of them if none is named).
# Quick when nothing has changed. Progress goes to stderr when that is a terminal; otherwise one line, and the log when it fails.
build_preset() {
  local preset=$1 dir=$root/build/$1 log jobs status=0
  shift
  mkdir -p "$dir"
  jobs=$(nproc)
  log=$dir/build.log
  exec 9>"$dir/build.lock"
  flock -n 9 || { echo "Waiting for another build of $preset to end." >&2; flock 9; }
  if [ ! -f "$dir/build.ninja" ]; then
    (cd "$root" && cmake --preset "$preset") >"$log" 2>&1 || {
      cat "$log" >&2
      rm -f "$dir/build.ninja"
      echo "Configuring $preset failed; what CMake said stands above." >&2
      return 1
    }
  fi
  if ! ninja -C "$dir" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
    if [ -t 2 ]; then
      echo "Building $preset." >&2
      ninja -C "$dir" -j "$jobs" "$@" >&2 || status=$?
    else
      echo "Building $preset (log: ${log#"$root"/})." >&2
      ninja -C "$dir" -j "$jobs" "$@" >"$log" 2>&1 || status=$?
      [ $status = 0 ] || grep -A 40 -E '^FAILED|error:' "$log" | head -n 200 >&2 || true
    fi
  fi
  exec 9>&-
  [ $status = 0 ] || echo "Building $preset failed." >&2
  return $status
}
