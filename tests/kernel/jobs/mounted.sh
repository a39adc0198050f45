# Two file systems within the folder, and one directory that it shows at two places.
cd /mnt
for when in warm cold; do
  [ $when = warm ] || forget_caches
  test -z "$(find one two -printf '%i\n' | sort | uniq -d)" || die "$when: two objects have one number"
  for name in one two; do
    for i in 1 2 3; do test "$(cat $name/d$i/f)" = "$name $i" || die "$when: $name/d$i/f holds $(cat $name/d$i/f)"; done
  done
  test "$(cat twice/r real/b/r)" = "$(printf 'real\nreal')" || die "$when: what is shown twice differs"
done
say "each object has its own number and content"
must "rm -rf of the one place" timeout -s KILL 30 rm -rf twice
status=0
timeout -s KILL 30 ls -AlR real >/dev/null 2>&1 || status=$?
[ $status != 137 ] || die "a listing of the other place hangs"
must "rm -rf of the other" timeout -s KILL 30 rm -rf real
test -z "$(ls -A | grep -vx -e one -e two)" || die "something is left: $(ls -A)"
must "both are made again" mkdir -p twice real/b
test -z "$(ls -A twice real/b | grep -v :)" || die "they are not empty"
must "and hold something new" sh -c 'echo new >twice/r && echo other >real/b/r && test "$(cat twice/r)" = new'
