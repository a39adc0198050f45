# The server is killed with -9 about once a second while git clones a repository on the mount, and started again on the same port and workspace.
# The mount is hard: git waits and goes on, and what it has made is whole.
make_repository() {
  mkdir -p "$layer/repository"
  cp -r /usr/include/linux "$layer/repository/linux"
  cd "$layer/repository" || return
  export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
  git init -q -b main && git add -A && git -c user.email=a@example.org -c user.name=A commit -q -m one &&
    git rm -q linux/a*.h && git -c user.email=a@example.org -c user.name=A commit -q -m two
}
(make_repository) || fail "the repository could not be made"
fingerprint "$layer" >"$scratch/before"
start_server
kills=0 status= line=
exec {lines}< <(guest restart_git 2>&1; echo "status $?")
# A kill each time that the guest has said nothing for 0.5 to 2 s, which is most of the time.
while [ -z "$status" ]; do
  outcome=0
  read -r -t $((RANDOM % 2)).$((500 + RANDOM % 500)) line <&"$lines" || outcome=$?
  if [ $outcome = 0 ]; then
    echo "$line"
    case $line in
      "status "*) status=${line#status } ;;
      *"the server may be killed now") kills_on=1 ;;
      *"no more kills") kills_on= ;;
    esac
  elif [ $outcome -gt 128 ]; then
    [ -n "${kills_on:-}" ] && [ $kills -lt 15 ] || continue
    kill_server
    kills=$((kills + 1))
    start_server
  else
    break
  fi
done
check_layer
[ "$status" = 0 ] || { tail -n 30 "$log"; fail "the job ended with status ${status:-none}"; }
[ $kills -ge 3 ] || fail "the server was killed only $kills times: the repository is too small for this test"
stop_server
echo "The server was killed $kills times."
