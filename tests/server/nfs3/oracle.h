// The oracle: libnfs's own encoders and decoders for RFC 1813, so that our codec is never checked by itself.
#pragma once

// libnfs's headers first: they define what <rpc/rpc.h> would.
#include <gtest/gtest.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

#include <cstring>
#include <optional>
#include <string>

#include "tests/server/nfs3/harness.h"

namespace strata::testing {

// `value` as XDR.
template <typename T>
Bytes Encode(uint32_t (*proc)(ZDR*, T*), T value) {
  for (const std::size_t room : {std::size_t{8} << 10, std::size_t{3} << 20}) {
    Bytes bytes(room);
    ZDR zdr;
    libnfs_zdrmem_create(&zdr, bytes.data(), static_cast<uint32_t>(bytes.size()), ZDR_ENCODE);
    const bool good = proc(&zdr, &value) != 0;
    bytes.resize(libnfs_zdr_getpos(&zdr));
    libnfs_zdr_destroy(&zdr);
    if (good) return bytes;
  }
  ADD_FAILURE() << "libnfs does not encode it";
  return {};
}

// What libnfs reads from `bytes`. Fails the test unless it reads all of them and would have written the very same.
template <typename T>
class Decoded {
 public:
  Decoded(uint32_t (*proc)(ZDR*, T*), const Bytes& bytes) : bytes_(bytes) {
    libnfs_zdrmem_create(&zdr_, bytes_.data(), static_cast<uint32_t>(bytes_.size()), ZDR_DECODE);
    const bool good = proc(&zdr_, &value_) != 0;
    EXPECT_TRUE(good);
    EXPECT_EQ(libnfs_zdr_getpos(&zdr_), bytes.size());
    if (good) {
      EXPECT_TRUE(Encode(proc, value_) == bytes) << "libnfs writes it otherwise";
    }
  }
  ~Decoded() { libnfs_zdr_destroy(&zdr_); }
  Decoded(const Decoded&) = delete;
  Decoded& operator=(const Decoded&) = delete;
  const T* operator->() const { return &value_; }
  const T& operator*() const { return value_; }

 private:
  Bytes bytes_;
  ZDR zdr_{};
  T value_{};
};

inline nfs_fh3 Fh(Bytes& handle) {
  nfs_fh3 fh;
  fh.data.data_len = static_cast<u_int>(handle.size());
  fh.data.data_val = handle.data();
  return fh;
}
inline diropargs3 DirOp(Bytes& directory, std::string& name) { return {Fh(directory), name.data()}; }

// What the tests of all families call with. Handles and names by value: what they point to must outlive the encoding.
struct Calls {
  static Bytes GetAttr(Bytes h) { return Encode(zdr_GETATTR3args, GETATTR3args{Fh(h)}); }
  static Bytes SetAttr(Bytes h, sattr3 s, std::optional<nfstime3> guard = {}) {
    SETATTR3args args{};
    args.object = Fh(h);
    args.new_attributes = s;
    args.guard.check = guard.has_value();
    if (guard) args.guard.sattrguard3_u.obj_ctime = *guard;
    return Encode(zdr_SETATTR3args, args);
  }
  static Bytes Lookup(Bytes h, std::string name) { return Encode(zdr_LOOKUP3args, LOOKUP3args{DirOp(h, name)}); }
  static Bytes Access(Bytes h, uint32_t bits) { return Encode(zdr_ACCESS3args, ACCESS3args{Fh(h), bits}); }
  static Bytes ReadLink(Bytes h) { return Encode(zdr_READLINK3args, READLINK3args{Fh(h)}); }
  static Bytes Read(Bytes h, uint64_t offset, uint32_t count) {
    return Encode(zdr_READ3args, READ3args{Fh(h), offset, count});
  }
  static Bytes Write(Bytes h, uint64_t offset, std::string data, stable_how stable,
                     std::optional<uint32_t> count = {}) {
    WRITE3args args{};
    args.file = Fh(h);
    args.offset = offset;
    args.count = count.value_or(static_cast<uint32_t>(data.size()));
    args.stable = stable;
    args.data.data_len = static_cast<u_int>(data.size());
    args.data.data_val = data.data();
    return Encode(zdr_WRITE3args, args);
  }
  static Bytes Create(Bytes h, std::string name, createmode3 mode, sattr3 s = {}, const char* verifier = "12345678") {
    CREATE3args args{};
    args.where = DirOp(h, name);
    args.how.mode = mode;
    if (mode == EXCLUSIVE) {
      std::memcpy(args.how.createhow3_u.verf, verifier, 8);
    } else {
      args.how.createhow3_u.obj_attributes = s;
    }
    return Encode(zdr_CREATE3args, args);
  }
  static Bytes Mkdir(Bytes h, std::string name, sattr3 s = {}) {
    return Encode(zdr_MKDIR3args, MKDIR3args{DirOp(h, name), s});
  }
  static Bytes Symlink(Bytes h, std::string name, std::string target, sattr3 s = {}) {
    return Encode(zdr_SYMLINK3args, SYMLINK3args{DirOp(h, name), {s, target.data()}});
  }
  static Bytes Mknod(Bytes h, std::string name, ftype3 type, sattr3 s = {}, specdata3 spec = {}) {
    MKNOD3args args{};
    args.where = DirOp(h, name);
    args.what.type = type;
    args.what.mknoddata3_u.chr_device = {s, spec};  // the attributes are the head of all members
    return Encode(zdr_MKNOD3args, args);
  }
  static Bytes Remove(Bytes h, std::string name) { return Encode(zdr_REMOVE3args, REMOVE3args{DirOp(h, name)}); }
  static Bytes Rmdir(Bytes h, std::string name) { return Encode(zdr_RMDIR3args, RMDIR3args{DirOp(h, name)}); }
  static Bytes Rename(Bytes a, std::string from, Bytes b, std::string to) {
    return Encode(zdr_RENAME3args, RENAME3args{DirOp(a, from), DirOp(b, to)});
  }
  static Bytes Link(Bytes file, Bytes directory, std::string name) {
    return Encode(zdr_LINK3args, LINK3args{Fh(file), DirOp(directory, name)});
  }
  static Bytes ReadDir(Bytes h, uint64_t cookie, uint32_t count, const char* verifier = "\0\0\0\0\0\0\0\0") {
    READDIR3args args{};
    args.dir = Fh(h);
    args.cookie = cookie;
    std::memcpy(args.cookieverf, verifier, 8);
    args.count = count;
    return Encode(zdr_READDIR3args, args);
  }
  static Bytes ReadDirPlus(Bytes h, uint64_t cookie, uint32_t dircount, uint32_t maxcount) {
    READDIRPLUS3args args{};
    args.dir = Fh(h);
    args.cookie = cookie;
    args.dircount = dircount;
    args.maxcount = maxcount;
    return Encode(zdr_READDIRPLUS3args, args);
  }
  static Bytes FsStat(Bytes h) { return Encode(zdr_FSSTAT3args, FSSTAT3args{Fh(h)}); }
  static Bytes FsInfo(Bytes h) { return Encode(zdr_FSINFO3args, FSINFO3args{Fh(h)}); }
  static Bytes PathConf(Bytes h) { return Encode(zdr_PATHCONF3args, PATHCONF3args{Fh(h)}); }
  static Bytes Commit(Bytes h, uint64_t offset, uint32_t count) {
    return Encode(zdr_COMMIT3args, COMMIT3args{Fh(h), offset, count});
  }
};

inline void ExpectTime(const nfstime3& time, Time expected) {
  EXPECT_EQ(static_cast<std::int64_t>(time.seconds) * 1'000'000'000 + time.nseconds, expected.ns);
}

inline void ExpectAttributes(const fattr3& fattr, const Attributes& expected, std::uint64_t fsid = 7) {
  EXPECT_EQ(static_cast<unsigned>(fattr.type), static_cast<unsigned>(expected.type));
  EXPECT_EQ(fattr.mode, expected.mode);
  EXPECT_EQ(fattr.nlink, expected.nlink);
  EXPECT_EQ(fattr.uid, expected.uid);
  EXPECT_EQ(fattr.gid, expected.gid);
  EXPECT_EQ(fattr.size, expected.size);
  EXPECT_EQ(fattr.used, expected.used);
  EXPECT_EQ(fattr.rdev.specdata1, expected.rdev.major);
  EXPECT_EQ(fattr.rdev.specdata2, expected.rdev.minor);
  EXPECT_EQ(fattr.fsid, fsid);
  EXPECT_EQ(fattr.fileid, expected.ino.value);
  ExpectTime(fattr.atime, expected.atime);
  ExpectTime(fattr.mtime, expected.mtime);
  ExpectTime(fattr.ctime, expected.ctime);
}
inline void ExpectAttributes(const post_op_attr& given, const Attributes& expected) {
  ASSERT_TRUE(given.attributes_follow);
  ExpectAttributes(given.post_op_attr_u.attributes, expected);
}
// wcc_data with `before` and `after`.
inline void ExpectWcc(const wcc_data& wcc, const Attributes& before, const Attributes& after) {
  ASSERT_TRUE(wcc.before.attributes_follow);
  EXPECT_EQ(wcc.before.pre_op_attr_u.attributes.size, before.size);
  ExpectTime(wcc.before.pre_op_attr_u.attributes.mtime, before.mtime);
  ExpectTime(wcc.before.pre_op_attr_u.attributes.ctime, before.ctime);
  ExpectAttributes(wcc.after, after);
}
inline void ExpectHandle(const nfs_fh3& given, const Bytes& expected) {
  EXPECT_EQ(Bytes(given.data.data_val, given.data.data_val + given.data.data_len), expected);
}

}  // namespace strata::testing
