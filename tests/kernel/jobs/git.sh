# git on a repository that lies in the layer, and on one that is made on the mount and cloned there.
export HOME=/tmp
git config --global user.email a@example.org
git config --global user.name A
git config --global init.defaultBranch main
git config --global safe.directory '*'
git config --global gc.auto 0
git config --global advice.detachedHead false

clean() { test -z "$(git status --porcelain)"; }
remove_and_commit() { git rm -q linux/b*.h && mv linux/can.h linux/can_moved.h && git add -A && git commit -q -m "$1"; }

cd /mnt/repository || die "the repository of the layer is not there"
must "status of the layer's repository is clean" clean
echo changed >>linux/acct.h
must "add and commit in the layer's repository" git commit -q -a -m edited
must "remove and rename in the layer's repository" remove_and_commit again
must "fsck of the layer's repository" git fsck --full
must "status is clean again" clean
must "clone of the layer's repository" git clone -q --no-hardlinks /mnt/repository /mnt/clone
cd /mnt/clone
must "checkout of what was before" git checkout -q HEAD~2
must "and back" git checkout -q main
must "fsck of the clone" git fsck --full
must "the clone's tree is equal" diff -r --exclude=.git /mnt/repository /mnt/clone
must "gc of the clone" git gc -q
must "fsck after gc" git fsck --full

mkdir /mnt/made && cd /mnt/made
must "init on the mount" git init -q
cp -r /mnt/clone/linux/netfilter . && must "add and first commit on the mount" sh -c 'git add -A && git commit -q -m one'
must "branch and merge" sh -c 'git checkout -q -b side && echo s >side && git add side && git commit -q -m side && git checkout -q main &&
  echo m >main && git add main && git commit -q -m main && git merge -q --no-edit side'
must "fsck on the mount" git fsck --full
forget_caches
must "status is clean with cold caches" clean
cd /mnt
must "rm -rf of all three" rm -rf clone made repository
test -z "$(ls -A /mnt)" || die "something is left: $(ls -A /mnt)"
say "the mount is empty"
