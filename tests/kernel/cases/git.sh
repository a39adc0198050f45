# The guest's own headers would cost the guest time to copy in; the repository is made here, outside.
mkdir -p "$layer/repository"
cp -r /usr/include/linux "$layer/repository/linux"
(
  cd "$layer/repository"
  export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
  git init -q -b main && git add -A && git -c user.email=a@example.org -c user.name=A commit -q -m one
) || fail "the repository could not be made"
echo "Serving a git repository of $(find "$layer" -type f | wc -l) files."
run_job git
