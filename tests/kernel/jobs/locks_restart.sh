# The server ends under one who holds a lock and one who waits for it. /tmp/serve OPTIONS serves again; its log is /tmp/log.
mkdir -p /mnt /mnt2
must "mount" timeout 60 mount -t nfs -o nosharecache localhost:/ /mnt
must "mount again" timeout 60 mount -t nfs -o nosharecache localhost:/ /mnt2
: >/mnt/file
: >/mnt/other
lines_with() { [ "$(grep -c "$2" $1)" -ge "$3" ]; } # FILE TEXT COUNT
serves() { # OPTIONS...: another server, once it answers
  local before
  before=$(grep -c '^ready' /tmp/ready)
  /tmp/serve "$@" >>/tmp/ready 2>>/tmp/log &
  within 30 lines_with /tmp/ready '^ready' $((before + 1)) || { tail -n 20 /tmp/log; die "the server does not come up"; }
}
recovered() { # COUNT: grace periods that are over
  within 60 lines_with /tmp/log locks_recovered $1 || { tail -n 20 /tmp/log; die "the grace period does not end"; }
}
graces=0
for how in $HOW; do
  holds /tmp/a /mnt/file W 0 10 1000
  holder=$!
  python3 /tmp/lock.py /mnt2/file Ww 5 10 1000 >/tmp/w 2>&1 &
  waiter=$!
  sleep 1
  grep -q locked /tmp/w && die "it did not wait"
  old=$(pgrep -f 'strata serve')
  begun=$(date +%s.%N)
  case $how in
    kill_9) kill -9 $old ;;
    stop) kill $old ;;
  esac
  if [ $how = takeover ]; then
    recoveries=$(grep -c locks_recovering /tmp/log)
    serves --takeover
    held /mnt2/file W 0 4 && die "the lock is lost in a takeover"
    [ "$(grep -c locks_recovering /tmp/log)" = "$recoveries" ] || die "the clients had to claim their locks again"
    say "a takeover keeps the lock"
    must "and grants others at once" timeout 2 flock -n /mnt2/other true
  else
    while kill -0 $old 2>/dev/null; do sleep 0.05; done
    sleep 2
    serves
    must "a new lock waits for those of before" timeout 60 flock /mnt2/other true
    graces=$((graces + 1))
    recovered $graces
    grep locks_recovered /tmp/log | tail -n 1
    held /mnt2/file W 0 4 && die "the lock is lost after $how"
    say "after $how the lock is held"
  fi
  grep -q locked /tmp/w && die "who waited has it too"
  end=$(date +%s.%N)
  kill -9 $holder
  granted_at_once /tmp/w "$end" "the holder was killed ($how)"
  kill -9 $waiter
  sleep 0.3
  must "and all is free again" held /mnt/file W 0 100
done
cd /
must "umount" umount /mnt2
must "umount" umount /mnt
