# What is seen of a folder that changes, two seconds later and with cold caches: the server believes what it knows for one second.
cd /mnt
host=/share/layer
ls -lR . >/dev/null
cat edit/f* gone/sub/g swap/s kind/file kind/dir/x >/dev/null
head -c 100 edit/big >/dev/null
for name in inplace replaced removed; do echo more >>both/$name; done
sync
say "the tree was looked at, three files were appended to"

echo "new 2" >$host/edit/new && mv $host/edit/new $host/edit/f2 # as an editor saves
echo "new 3, longer" >$host/edit/f3
rm $host/edit/f4
echo added >$host/edit/added
head -c 1000000 /dev/zero | tr '\0' n | dd of=$host/edit/big conv=notrunc bs=1M status=none
head -c 1000 /dev/zero | tr '\0' n | dd of=$host/both/inplace conv=notrunc status=none
head -c 200000 /dev/zero | tr '\0' n >$host/both/new && mv $host/both/new $host/both/replaced
rm $host/both/removed
rm -rf $host/gone $host/swap && mkdir $host/swap && echo swapped >$host/swap/s
rm $host/kind/file && mkdir $host/kind/file && echo in >$host/kind/file/in
rm -rf $host/kind/dir && echo "a file now" >$host/kind/dir
(cd $host/many && rm $(seq 1 2 399) && touch $(seq 401 500))
sleep 2
forget_caches
is() { [ "$1" = "$2" ] || die "$3: '$1' instead of '$2'"; say "$3"; }
is "$(cat edit/f1 edit/f2 edit/f3 edit/added)" "$(printf 'old 1\nnew 2\nnew 3, longer\nadded')" "what was edited is shown as it is now"
must_fail "what was removed is gone" cat edit/f4
is "$(stat -c %s edit/f3)" 14 "with its size"
is "$(tr -d n <edit/big | wc -c) $(stat -c %s edit/big)" "1000000 2000000" "a large file rewritten in part"
is "$(ls many | wc -l)" 300 "names that came and went"
is "$(cat swap/s)" swapped "a folder that was replaced"
is "$(cat kind/file/in kind/dir)" "$(printf 'in\na file now')" "types that changed"
must_fail "a folder that went" ls gone
for name in inplace replaced removed; do
  is "$(stat -c %s both/$name)" 200005 "changed in both places: both/$name is there"
  must_fail "and is no mixture" cat both/$name
done
is "$(echo again >both/inplace && cat both/inplace)" again "written anew it is whole"
for name in edit gone swap kind many both; do
  must "rm -rf $name" timeout -s KILL 60 rm -rf $name
  [ ! -e $name ] || die "$name is still there"
  must "mkdir $name" mkdir $name
  is "$(ls -A $name)" "" "made again it is empty"
done
must "the upper's own" sh -c 'echo new >gone/g && test "$(cat gone/g)" = new'
