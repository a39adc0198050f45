// Operation: what all procedures share. It leads from a handle to an object of a volume, under the caller's
// credentials, and has the failure replies.
//
// A handler decodes, asks Finished(), makes an Operation, calls one method of the volume, and encodes. Where the volume
// says that it must wait, the handler returns Outcome::WouldBlock() with nothing written.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "server/nfs3/program.h"
#include "server/nfs3/xdr_types.h"
#include "server/rpc/program.h"

namespace strata::nfs3 {

inline constexpr std::uint32_t kMaxTransfer = 1 << 20;  // rtmax, wtmax (spec nfsv3 6.4)

class Nfs3Program final : public rpc::Program {
 public:
  Nfs3Program(const Exports& exports, std::function<void()> mounts) : exports_(exports), mounts_(std::move(mounts)) {}
  std::uint32_t number() const override { return kNfsProgram; }
  std::string_view name() const override { return "nfs"; }
  std::uint32_t low_version() const override { return 3; }
  std::uint32_t high_version() const override { return 3; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t version) const override;
  bool Admits(const rpc::Peer& peer) const override;
  const Exports& exports() const { return exports_; }
  void ClientMounts() const {
    if (mounts_) mounts_();
  }

 private:
  const Exports& exports_;
  const std::function<void()> mounts_;
};

class Operation {
 public:
  // `handle` as it came. Where it names nothing that the caller may have, ok() is false, error() says why, and all that
  // may be done is to Fail.
  // `name`: the one in the arguments, for the log.
  Operation(rpc::Program& program, const rpc::Call& call, Proc procedure, ByteSpan handle, std::string_view name = {});

  bool ok() const { return entry_ != nullptr; }
  Errc error() const { return error_; }
  vfs::FileSystem& volume() const { return *entry_->volume; }
  const vfs::VolumeInfo& info() const { return entry_->volume->Volume(); }
  std::uint64_t fsid() const { return ok() ? info().id : 0; }
  const vfs::ObjectId& id() const { return id_; }
  const vfs::OpContext& context() const { return context_; }
  // Whether `status` means that the call is to be run again where it may wait, or when what it waits for has come.
  bool MustWait(const Status& status) const {
    const bool fetches = context_.fetch != nullptr && *context_.fetch;
    return status.code() == Errc::kWouldBlock && !late_ && (fetches || !context_.may_block);
  }

  // The object's attributes, where they can be had, and without waiting if the call may not.
  std::optional<Attributes> AttributesNow() const;
  // `change` as the volume gave it; where it gave nothing, with the attributes of now.
  vfs::Change Complete(const vfs::Change& change) const;

  // Failure replies: the status, and after it nothing, a post_op_attr (of `known`, else AttributesNow) or a wcc_data
  // (of Complete(change)).
  rpc::Outcome Fail(rpc::ReplyBuffer& reply, Errc code) const;
  rpc::Outcome FailPostOp(rpc::ReplyBuffer& reply, Errc code, std::optional<Attributes> known = std::nullopt) const;
  rpc::Outcome FailWcc(rpc::ReplyBuffer& reply, Errc code, const vfs::Change& change = {}) const;

  // The outcome of a change: the reply leaves once its commitment is met.
  rpc::Outcome Changed(const vfs::Mutation& mutation) const;

  // What the failure is called on the wire.
  nfsstat3 Failed(Errc code) const;

 private:
  const Export* entry_ = nullptr;
  vfs::ObjectId id_;
  vfs::OpContext context_;
  bool late_ = false;
  Proc procedure_;
  rpc::CallTrace* trace_;
  Errc error_ = Errc::kBadHandle;
};

}  // namespace strata::nfs3
