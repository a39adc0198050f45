# The folder holds mount points: two file systems whose inode numbers collide, and one directory shown twice (a bind mount).
mkdir -p "$layer"/{one,two,twice,real/b}
echo real >"$layer/real/b/r"
for name in one two; do
  mount -t tmpfs -o size=1m none "$layer/$name" || skip "nothing can be mounted here"
  for i in 1 2 3; do
    mkdir "$layer/$name/d$i"
    echo "$name $i" >"$layer/$name/d$i/f"
  done
done
mount --bind "$layer/real/b" "$layer/twice" || skip "no bind mount can be made here"
run_job mounted
umount "$layer/one" "$layer/two" "$layer/twice"
