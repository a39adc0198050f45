#include <algorithm>
#include <cstdio>

#include "tests/bench/floor.h"
#include "tests/bench/support.h"
#include "tests/bench/xdr.h"

namespace nfsbench {
namespace {

constexpr std::uint32_t kMountProgram = 100005, kNlmProgram = 100021;
constexpr std::uint32_t kSpliceAbove = 16384;
constexpr std::size_t kLargestEntry = 260;
constexpr std::uint64_t kVerifier = 7;

void PutConstantHandle(Encoder& out) {
  out.U32(32);
  out.out.append(32, 'F');
}

void PutAttributes(Encoder& out) {
  for (const std::uint32_t word : {1u, 0644u, 1u, 0u, 0u}) out.U32(word);
  for (const std::uint64_t word : {512ull << 20, 512ull << 20, 0ull, 1ull, 42ull}) out.U64(word);
  for (int i = 0; i < 6; ++i) out.U32(1);
}

void PutPostOp(Encoder& out) {
  out.U32(1);
  PutAttributes(out);
}

void PutWcc(Encoder& out) {
  out.U32(0);
  PutPostOp(out);
}

void PutListing(Decoder& arguments, bool plus, std::uint32_t entries, Encoder& out) {
  std::uint64_t cookie = arguments.U64();
  arguments.Skip(8);
  if (plus) arguments.U32();
  const std::uint32_t most = arguments.U32();
  out.U32(0);
  PutPostOp(out);
  out.U64(1);
  const std::size_t begin = out.out.size();
  while (cookie < entries && out.out.size() - begin + kLargestEntry < most) {
    ++cookie;
    char name[24];
    const int length = std::snprintf(name, sizeof name, "entry-%08u", static_cast<unsigned>(cookie));
    out.U32(1);
    out.U64(cookie);
    out.Opaque({name, static_cast<std::size_t>(length)});
    out.U64(cookie);
    if (!plus) continue;
    PutPostOp(out);
    out.U32(1);
    PutConstantHandle(out);
  }
  out.U32(0);
  out.U32(cookie >= entries ? 1 : 0);
}

// Returns the bytes spliced in behind what was encoded.
std::size_t PutRead(Decoder& arguments, Encoder& out, SendQueue& queue) {
  arguments.U64();
  const std::uint32_t count = std::min<std::uint32_t>(arguments.U32(), static_cast<std::uint32_t>(Payload().size()));
  out.U32(0);
  PutPostOp(out);
  out.U32(count);
  out.U32(0);
  if (count <= kSpliceAbove) {
    out.Opaque({Payload().data(), count});
    return 0;
  }
  out.U32(count);
  queue.Splice(Payload().data(), count);
  out.Pad(count);
  return count;
}

void PutFsinfo(Encoder& out) {
  out.U32(0);
  PutPostOp(out);
  for (const std::uint32_t word : {1u << 20, 1u << 20, 4096u, 1u << 20, 1u << 20, 4096u, 65536u}) out.U32(word);
  out.U64(1ull << 60);
  for (const std::uint32_t word : {0u, 1u, 0x1bu}) out.U32(word);
}

std::size_t PutResult(Procedure procedure, Decoder& arguments, std::uint32_t entries, Encoder& out, SendQueue& queue) {
  if (procedure == Procedure::kNull) return 0;
  arguments.SkipOpaque();  // the handle
  switch (procedure) {
    case Procedure::kGetattr:
      out.U32(0);
      PutAttributes(out);
      break;
    case Procedure::kLookup:
      out.U32(0);
      PutConstantHandle(out);
      PutPostOp(out);
      PutPostOp(out);
      break;
    case Procedure::kRead:
      return PutRead(arguments, out, queue);
    case Procedure::kWrite: {
      arguments.U64();
      const std::uint32_t count = arguments.U32();
      out.U32(0);
      PutWcc(out);
      out.U32(count);
      out.U32(arguments.U32());
      out.U64(kVerifier);
      break;
    }
    case Procedure::kCreate:
    case Procedure::kMkdir:
      out.U32(0);
      out.U32(1);
      PutConstantHandle(out);
      PutPostOp(out);
      PutWcc(out);
      break;
    case Procedure::kRename:
    case Procedure::kRemove:
    case Procedure::kRmdir:
      out.U32(0);
      PutWcc(out);
      if (procedure == Procedure::kRename) PutWcc(out);
      break;
    case Procedure::kCommit:
      out.U32(0);
      PutWcc(out);
      out.U64(kVerifier);
      break;
    case Procedure::kReaddir:
    case Procedure::kReaddirplus:
      PutListing(arguments, procedure == Procedure::kReaddirplus, entries, out);
      break;
    case Procedure::kFsinfo:
      PutFsinfo(out);
      break;
    default:
      out.U32(10004);  // NFS3ERR_NOTSUPP
  }
  return 0;
}

}  // namespace

bool AnswerWithConstant(const char* record, std::size_t length, std::uint32_t directory_entries, SendQueue& queue) {
  Decoder call{record, record + length};
  const std::uint32_t xid = call.U32();
  call.Skip(8);
  const std::uint32_t program = call.U32();
  call.U32();
  const std::uint32_t procedure = call.U32();
  for (int i = 0; i < 2; ++i) {  // credentials and verifier
    call.U32();
    call.SkipOpaque();
  }
  if (call.bad) return false;
  Encoder out{queue.buffer()};
  const std::size_t begin = queue.BeginRecord();
  out.U32(xid);
  for (const std::uint32_t word : {1u, 0u, 0u, 0u, 0u}) out.U32(word);
  std::size_t spliced = 0;
  if (program == kNlmProgram) {
    if (procedure != 0) {
      out.Opaque(call.Opaque());  // the cookie
      out.U32(0);
    }
  } else if (program != kMountProgram) {
    spliced = PutResult(static_cast<Procedure>(procedure), call, directory_entries, out, queue);
  } else if (procedure == 1) {
    out.U32(0);
    PutConstantHandle(out);
    out.U32(1);
    out.U32(1);
  }
  queue.EndRecord(begin, spliced);
  return !call.bad;
}

}  // namespace nfsbench
