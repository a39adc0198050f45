#include "server/nfs3/xdr_types.h"

#include <algorithm>

namespace strata::nfs3 {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kDontChange = 0, kSetToServerTime = 1, kSetToClientTime = 2;  // RFC 1813 time_how

bool ReadSetTime(rpc::XdrReader& arguments, vfs::SetTime& how, Time& time, bool& valid) {
  switch (arguments.U32()) {
    case kDontChange:
      how = vfs::SetTime::kKeep;
      return true;
    case kSetToServerTime:
      how = vfs::SetTime::kServer;
      return true;
    case kSetToClientTime: {
      how = vfs::SetTime::kClient;
      const std::optional<Time> read = ReadTime(arguments);
      valid = valid && read.has_value();
      time = read.value_or(Time{});
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

void FixedWriter::Time(strata::Time time) {
  if (time.ns < 0) {
    U64(0);
    return;
  }
  const std::uint64_t seconds = static_cast<std::uint64_t>(time.ns / kSecond);
  if (seconds > ~std::uint32_t{0}) {
    U32(~std::uint32_t{0});
    U32(static_cast<std::uint32_t>(kSecond - 1));
    return;
  }
  U32(static_cast<std::uint32_t>(seconds));
  U32(static_cast<std::uint32_t>(time.ns % kSecond));
}

void FixedWriter::Fattr(const Attributes& a, std::uint64_t fsid) {
  U32(static_cast<std::uint32_t>(a.type));
  U32(a.mode & kModeMask);
  U32(a.nlink);
  U32(a.uid);
  U32(a.gid);
  U64(a.size);
  U64(a.used);
  U32(a.rdev.major);
  U32(a.rdev.minor);
  U64(fsid);
  U64(a.ino.value);
  Time(a.atime);
  Time(a.mtime);
  Time(a.ctime);
}

void FixedWriter::PostOpAttr(const std::optional<Attributes>& attributes, std::uint64_t fsid) {
  Bool(attributes.has_value());
  if (attributes) Fattr(*attributes, fsid);
}

void FixedWriter::WccData(const vfs::Change& change, std::uint64_t fsid) {
  Bool(change.before.has_value());
  if (change.before) {
    U64(change.before->size);
    Time(change.before->mtime);
    Time(change.before->ctime);
  }
  PostOpAttr(change.after, fsid);
}

void FixedWriter::Handle(const vfs::VolumeInfo& volume, const vfs::ObjectId& id) {
  U32(kHandleBytes);
  EncodeHandle(volume, id, at_);
  at_ += kHandleBytes;
}

void FixedWriter::Text(std::string_view text) {
  U32(static_cast<std::uint32_t>(text.size()));
  at_ = std::ranges::copy(AsBytes(text), at_).out;
  while ((at_ - begin_) % 4 != 0) *at_++ = std::byte{0};
}

std::optional<Time> ReadTime(rpc::XdrReader& arguments) {
  const std::int64_t seconds = arguments.U32();
  const std::int64_t nanoseconds = arguments.U32();
  if (nanoseconds >= kSecond) return std::nullopt;
  return Time{seconds * kSecond + nanoseconds};
}

bool ReadSattr(rpc::XdrReader& arguments, Sattr& sattr) {
  vfs::SetAttributes& set = sattr.set;
  if (arguments.Bool()) set.mode = arguments.U32() & kModeMask;
  if (arguments.Bool()) set.uid = arguments.U32();
  if (arguments.Bool()) set.gid = arguments.U32();
  if (arguments.Bool()) set.size = arguments.U64();
  return ReadSetTime(arguments, set.set_atime, set.atime, sattr.valid) &&
         ReadSetTime(arguments, set.set_mtime, set.mtime, sattr.valid) && arguments.ok();
}

}  // namespace strata::nfs3
