# git clone, twice and in two ways, while the host kills the server; then everything is checked.
export HOME=/tmp
git config --global user.email a@example.org
git config --global user.name A
git config --global safe.directory '*'
git config --global gc.auto 0
git config --global advice.detachedHead false
clean() { test -z "$(git status --porcelain)"; }

say "the server may be killed now"
must "clone by copying" git clone -q --no-hardlinks /mnt/repository /mnt/copied
must "clone by packing" git clone -q file:///mnt/repository /mnt/packed
cd /mnt/packed
must "checkout of what was before" git checkout -q HEAD~1
must "and back" git checkout -q main
say "no more kills"
forget_caches
for clone in copied packed; do
  cd /mnt/$clone
  must "fsck of what was $clone" git fsck --full --strict
  must "its status is clean" clean
  must "its tree is equal" diff -r --exclude=.git /mnt/repository /mnt/$clone
done
cd /mnt
must "rm -rf of both" rm -rf copied packed
test -z "$(ls -A /mnt | grep -vx repository)" || die "something is left: $(ls -A /mnt)"
