# Shared mappings written through the page cache; files removed and replaced while they are open; appends and truncation.
cat >/tmp/job.py <<'PYTHON'
import mmap, os, time
os.chdir("/mnt")
def drop(): os.sync(); open("/proc/sys/vm/drop_caches", "w").write("3")
SIZE = 10_000_000
def check(name):
    data = open(name, "rb").read()
    assert len(data) == SIZE, len(data)
    assert all(int.from_bytes(data[o:o + 8], "big") == o for o in range(0, SIZE - 10, 4099))
def fill(name, flags):
    fd = os.open(name, os.O_RDWR | flags)
    os.ftruncate(fd, SIZE)
    m = mmap.mmap(fd, SIZE)
    for o in range(0, SIZE - 10, 4099): m[o:o + 8] = o.to_bytes(8, "big")
    m.flush(); m.close(); os.close(fd)
fill("made", os.O_CREAT); drop(); check("made"); print("a new file written through a mapping reads back with cold caches")
fill("lower", 0); drop(); check("lower"); print("and a file of the layer, grown")

fd = os.open("big", os.O_RDWR)          # 64 MiB in the layer: one page in the middle is changed
m = mmap.mmap(fd, 64 << 20)
m[(32 << 20) + 5:(32 << 20) + 10] = b"HELLO"
m.flush(); m.close(); os.close(fd); drop()
with open("big", "rb") as f:
    f.seek((32 << 20) - 3); around = f.read(16)
    assert around == b"LLLLLLLLHELLOLLL", around
    f.seek(0); total = sum(len(b) for b in iter(lambda: f.read(1 << 20), b"")); assert total == 64 << 20
print("a page in the middle of a large file of the layer changes, and only it")

g = open("gone", "w+"); g.write("still here"); g.flush(); os.unlink("gone")
drop(); g.seek(0); assert g.read() == "still here"; g.write(", and more"); g.flush(); g.seek(0); assert g.read() == "still here, and more"
assert [n for n in os.listdir(".") if n.startswith(".nfs")], "no silly rename was seen"
g.close()
end = time.monotonic() + 20              # the client removes it in the background
while [n for n in os.listdir(".") if n.startswith(".nfs")]: assert time.monotonic() < end, os.listdir("."); time.sleep(0.05)
print("an open file that is removed reads and writes until it is closed, and leaves nothing")

h = open("lower2"); os.unlink("lower2"); drop(); assert h.read() == "of the layer\n"; h.close()
assert "lower2" not in os.listdir(".")
print("an open file of the layer too")
o = open("replaced", "w"); o.write("old"); o.close(); o = open("replaced")
n = open("replaced.new", "w"); n.write("new"); n.close(); os.rename("replaced.new", "replaced")
assert open("replaced").read() == "new"; assert o.read() == "old"; o.close()
print("a file replaced by rename while open keeps its old contents for who has it open")
for i in range(50):
    with open("log", "a") as a: a.write("%04d\n" % i)
assert open("log").read() == "".join("%04d\n" % i for i in range(50))
os.truncate("log", 12); drop(); assert open("log").read() == "0000\n0001\n00"
os.truncate("log", 20); drop(); assert open("log", "rb").read() == b"0000\n0001\n00" + bytes(8)
print("append and truncate, both ways")
s = os.open("sparse", os.O_RDWR | os.O_CREAT); os.pwrite(s, b"x", 1 << 33); os.close(s); drop()
st = os.stat("sparse"); assert st.st_size == (1 << 33) + 1 and st.st_blocks * 512 < 1 << 24, (st.st_size, st.st_blocks)
print("a file of 8 GiB with one byte at its end holds little")
for n in ("made", "lower", "big", "replaced", "log", "sparse"): os.unlink(n)
end = time.monotonic() + 20
while os.listdir("."): assert time.monotonic() < end, os.listdir("."); time.sleep(0.05)
PYTHON
python3 /tmp/job.py || die "see above"
say "all of it"
