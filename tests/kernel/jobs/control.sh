# The hidden tree, as the kernel's client sees it.
cd /mnt
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3: $1"; }
ls -A >/tmp/listed
must_fail "it is not listed" grep -q strata /tmp/listed
is "$(ls .strata | tr '\n' ' ')" "xattr xattr-names " "but found by its name"
is "$(cat .strata/xattr/user.note/readme)" hello "a value"
is "$(od -An -tx1 .strata/xattr/user.raw/readme | tr -d ' ')" ff000a "bytes"
is "$(tr '\n' ' ' <.strata/xattr-names/readme)" "user.note user.raw " "the names"
is "$(cat .strata/xattr/user.note/src/deep/.self)" "of a folder" "of a folder"
is "$(cd .strata/xattr/user.note/src/deep && cat file && cd ../../.. && pwd -P)" "deep/mnt/.strata/xattr" "folders have their way up"
is "$(stat -c '%F %a %s' .strata/xattr/user.note/readme)" "regular file 444 5" "stat"
is "$(stat -c %i .strata .strata/* .strata/xattr/user.note/readme .strata/xattr/user.raw/readme .strata/xattr-names/readme | sort -u | wc -l)" 6 \
  "each has an inode number of its own"
is "$(find .strata | sort | tr '\n' ' ')" ".strata .strata/xattr .strata/xattr-names " "find comes to an end"
is "$(find . -name .strata | wc -l)" 0 "find of all does not enter it"
must_fail "none where the file has none" cat .strata/xattr/user.note/src/none
must_fail "nothing is written" sh -c 'echo x >.strata/xattr/user.note/readme'
must_fail "nothing is made" touch .strata/xattr-names/new
must_fail "nothing is removed" rm -rf .strata
must_fail "nothing is moved in" mv readme .strata/xattr-names/moved
must "who may not read a file" setpriv --reuid=1001 --regid=1001 --clear-groups sh -c '! cat private'
must "may not read its attributes" setpriv --reuid=1001 --regid=1001 --clear-groups sh -c '! cat .strata/xattr/user.note/private'
is "$(cat .strata/xattr/user.note/private)" mine "who may, may"
must "and reads those of others" setpriv --reuid=1001 --regid=1001 --clear-groups cat .strata/xattr/user.note/readme
exec 5<.strata/xattr/user.note/src/deep/file
must "a file is renamed" mv src/deep/file src/deep/renamed
is "$(cat <&5)" deep "its open attribute is read on"
exec 5<&-
is "$(cat .strata/xattr/user.note/src/deep/renamed)" deep "and found under the new name"
must_fail "a folder of that name cannot be made where the client knows the hidden one" mkdir .strata
must "but moved there" sh -c 'mkdir own && echo x >own/mine && mv -T own .strata && test "$(ls .strata)" = mine'
must "and removed" rm -rf .strata
forget_caches # the client remembers that the name is gone
must "one can be made while nobody has looked at it" mkdir .strata
must "and holds what it is given" sh -c 'echo x >.strata/mine && test "$(ls .strata)" = mine'
is "$(ls -A | grep -c strata)" 1 "and is listed"
must "and goes" rm -rf .strata
forget_caches # the client remembers that the name is gone
is "$(cat .strata/xattr/user.note/readme)" hello "then the hidden tree is found again"
