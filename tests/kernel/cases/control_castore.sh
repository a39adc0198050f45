# The digests of a castore tree, read on the mount; a program of its own serves it (examples/castore.cc).
example=$(dirname "$strata")/../examples/castore
[ -x "$example" ] || fail "examples/castore has not been built"
coproc program { exec "$example" "$scratch/home" 2>>"$log"; }
server=$program_PID
exec {input}>&"${program[1]}" {program[1]}>&-
read -r -t 30 url <&"${program[0]}" || fail "the example was not ready within 30 s"
port=${url#*nfsport=}
MOUNT_OPTIONS=nolock SHARE=$scratch/share "$here/guest.sh" "${port%%&*}" "$(cat "$here"/jobs/{lib,control_castore}.sh)" || fail "the job ended with status $?"
exec {input}>&-
wait "$server" || fail "the example ended with status $?"
