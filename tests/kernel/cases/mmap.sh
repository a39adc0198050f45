printf 'of the layer\n' | tee "$layer/lower" >"$layer/lower2"
head -c 64M /dev/zero | tr '\0' L >"$layer/big"
run_job mmap
