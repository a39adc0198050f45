#!/bin/bash
# package_test.sh BUILD_FOLDER: `cmake --install` into a fresh prefix, then a project that knows nothing but that prefix is configured, built and run.
set -euo pipefail
build=$1
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$build" --prefix "$folder/prefix" >"$folder/install.log" || { cat "$folder/install.log"; exit 1; }
cp "$source/CMakeLists.txt" "$source/main.cc" "$source/../../../examples/castore.cc" "$folder"
cmake -G Ninja -S "$folder" -B "$folder/build" -DCMAKE_PREFIX_PATH="$folder/prefix" -DCMAKE_CXX_FLAGS="-Wall -Wextra" >"$folder/configure.log" ||
  { cat "$folder/configure.log"; exit 1; }
cmake --build "$folder/build"
"$folder/build/uses_strata" "$folder/workspace" | grep -E '^port=[1-9][0-9]*$'
"$folder/prefix/bin/strata" ls "$folder/workspace"
"$folder/build/castore" "$folder/home" </dev/null | grep -E '^nfs://127.0.0.1/\?nfsport=[1-9][0-9]*&mountport=[1-9][0-9]*$'
