// The procedures of RawClient: arguments in, answers out.
#include <algorithm>
#include <cstring>

#include "tests/e2e/raw_client.h"

namespace strata::e2e {
namespace {

nfs_fh3 Borrow(const Handle& handle) {
  nfs_fh3 borrowed;
  borrowed.data.data_len = static_cast<u_int>(handle.size());
  borrowed.data.data_val = const_cast<char*>(handle.data());
  return borrowed;
}

diropargs3 At(const Handle& directory, const std::string& name) {
  return {Borrow(directory), const_cast<char*>(name.c_str())};
}

Handle Take(const nfs_fh3& handle) { return {handle.data.data_val, handle.data.data_len}; }

std::optional<fattr3> Take(const post_op_attr& attributes) {
  if (attributes.attributes_follow == 0) return std::nullopt;
  return attributes.post_op_attr_u.attributes;
}

std::optional<Handle> Take(const post_op_fh3& handle) {
  if (handle.handle_follows == 0) return std::nullopt;
  return Take(handle.post_op_fh3_u.handle);
}

std::optional<wcc_attr> Before(const wcc_data& wcc) {
  if (wcc.before.attributes_follow == 0) return std::nullopt;
  return wcc.before.pre_op_attr_u.attributes;
}

void TakeObject(const wcc_data& wcc, Answer& answer) {
  answer.before = Before(wcc);
  answer.object = Take(wcc.after);
}

void TakeDirectory(const wcc_data& wcc, Answer& answer) {
  answer.before = Before(wcc);
  answer.directory = Take(wcc.after);
}

void Decode(const GETATTR3res& r, Answer& a) {
  if (r.status == NFS3_OK) a.object = r.GETATTR3res_u.resok.obj_attributes;
}
void Decode(const SETATTR3res& r, Answer& a) { TakeObject(r.SETATTR3res_u.resok.obj_wcc, a); }
void Decode(const LOOKUP3res& r, Answer& a) {
  if (r.status != NFS3_OK) {
    a.directory = Take(r.LOOKUP3res_u.resfail.dir_attributes);
    return;
  }
  a.handle = Take(r.LOOKUP3res_u.resok.object);
  a.object = Take(r.LOOKUP3res_u.resok.obj_attributes);
  a.directory = Take(r.LOOKUP3res_u.resok.dir_attributes);
}
void Decode(const ACCESS3res& r, Answer& a) {
  a.object = Take(r.ACCESS3res_u.resok.obj_attributes);
  if (r.status == NFS3_OK) a.count = r.ACCESS3res_u.resok.access;
}
void Decode(const READLINK3res& r, Answer& a) {
  a.object = Take(r.READLINK3res_u.resok.symlink_attributes);
  if (r.status == NFS3_OK) a.data = r.READLINK3res_u.resok.data;
}
void Decode(const READ3res& r, Answer& a) {
  a.object = Take(r.READ3res_u.resok.file_attributes);
  if (r.status != NFS3_OK) return;
  const READ3resok& ok = r.READ3res_u.resok;
  a.count = ok.count;
  a.eof = ok.eof != 0;
  a.data.assign(ok.data.data_val, ok.data.data_len);
}
void Decode(const WRITE3res& r, Answer& a) {
  TakeObject(r.WRITE3res_u.resok.file_wcc, a);
  if (r.status != NFS3_OK) return;
  const WRITE3resok& ok = r.WRITE3res_u.resok;
  a.count = ok.count;
  a.committed = ok.committed;
  a.verifier.assign(ok.verf, sizeof ok.verf);
}
void Decode(const COMMIT3res& r, Answer& a) {
  TakeObject(r.COMMIT3res_u.resok.file_wcc, a);
  if (r.status == NFS3_OK) a.verifier.assign(r.COMMIT3res_u.resok.verf, sizeof r.COMMIT3res_u.resok.verf);
}

template <typename Ok, typename Fail>
void DecodeMade(nfsstat3 status, const Ok& ok, const Fail& fail, Answer& a) {
  if (status != NFS3_OK) return TakeDirectory(fail.dir_wcc, a);
  a.handle = Take(ok.obj);
  a.object = Take(ok.obj_attributes);
  TakeDirectory(ok.dir_wcc, a);
}
void Decode(const CREATE3res& r, Answer& a) { DecodeMade(r.status, r.CREATE3res_u.resok, r.CREATE3res_u.resfail, a); }
void Decode(const MKDIR3res& r, Answer& a) { DecodeMade(r.status, r.MKDIR3res_u.resok, r.MKDIR3res_u.resfail, a); }
void Decode(const SYMLINK3res& r, Answer& a) {
  DecodeMade(r.status, r.SYMLINK3res_u.resok, r.SYMLINK3res_u.resfail, a);
}
void Decode(const MKNOD3res& r, Answer& a) { DecodeMade(r.status, r.MKNOD3res_u.resok, r.MKNOD3res_u.resfail, a); }
void Decode(const REMOVE3res& r, Answer& a) { TakeDirectory(r.REMOVE3res_u.resok.dir_wcc, a); }
void Decode(const RMDIR3res& r, Answer& a) { TakeDirectory(r.RMDIR3res_u.resok.dir_wcc, a); }
void Decode(const RENAME3res& r, Answer& a) { TakeDirectory(r.RENAME3res_u.resok.fromdir_wcc, a); }
void Decode(const LINK3res& r, Answer& a) {
  TakeDirectory(r.LINK3res_u.resok.linkdir_wcc, a);
  a.object = Take(r.LINK3res_u.resok.file_attributes);
}
void Decode(const READDIR3res& r, Answer& a) {
  a.directory = Take(r.READDIR3res_u.resok.dir_attributes);
  if (r.status != NFS3_OK) return;
  const READDIR3resok& ok = r.READDIR3res_u.resok;
  a.verifier.assign(ok.cookieverf, sizeof ok.cookieverf);
  a.eof = ok.reply.eof != 0;
  for (const entry3* e = ok.reply.entries; e != nullptr; e = e->nextentry) {
    a.entries.push_back({e->fileid, e->name, e->cookie, std::nullopt, std::nullopt});
  }
}
void Decode(const READDIRPLUS3res& r, Answer& a) {
  a.directory = Take(r.READDIRPLUS3res_u.resok.dir_attributes);
  if (r.status != NFS3_OK) return;
  const READDIRPLUS3resok& ok = r.READDIRPLUS3res_u.resok;
  a.verifier.assign(ok.cookieverf, sizeof ok.cookieverf);
  a.eof = ok.reply.eof != 0;
  for (const entryplus3* e = ok.reply.entries; e != nullptr; e = e->nextentry) {
    a.entries.push_back({e->fileid, e->name, e->cookie, Take(e->name_attributes), Take(e->name_handle)});
  }
}
void Decode(const FSSTAT3res& r, Answer& a) {
  if (r.status == NFS3_OK) a.fsstat = r.FSSTAT3res_u.resok;
}
void Decode(const FSINFO3res& r, Answer& a) {
  if (r.status == NFS3_OK) a.fsinfo = r.FSINFO3res_u.resok;
}
void Decode(const PATHCONF3res& r, Answer& a) {
  if (r.status == NFS3_OK) a.pathconf = r.PATHCONF3res_u.resok;
}

}  // namespace

template <typename Result, typename Arguments>
RawClient::Call RawClient::Send(int (*function)(rpc_context*, rpc_cb, Arguments*, void*), Arguments& arguments) {
  auto state = std::make_shared<Call::State>();
  auto* kept = new std::shared_ptr<Call::State>(state);
  auto on_answer = [](rpc_context*, int status, void* data, void* context) {
    std::unique_ptr<std::shared_ptr<Call::State>> owned(static_cast<std::shared_ptr<Call::State>*>(context));
    Call::State& waiting = **owned;
    waiting.done = true;
    if (status == RPC_STATUS_SUCCESS) {
      const auto& result = *static_cast<const Result*>(data);
      waiting.answer.answered = true;
      waiting.answer.status = result.status;
      Decode(result, waiting.answer);
    } else {
      waiting.answer.error =
          status == RPC_STATUS_ERROR && data != nullptr ? static_cast<const char*>(data) : "cancelled";
    }
  };
  if (function(rpc_, on_answer, &arguments, kept) != 0) {
    state->done = true;
    state->answer.error = rpc_get_error(rpc_);
    delete kept;
  }
  return Call(this, std::move(state));
}

RawClient::Call RawClient::Null() {
  auto state = std::make_shared<Call::State>();
  auto* kept = new std::shared_ptr<Call::State>(state);
  auto on_answer = [](rpc_context*, int status, void*, void* context) {
    std::unique_ptr<std::shared_ptr<Call::State>> owned(static_cast<std::shared_ptr<Call::State>*>(context));
    (*owned)->done = true;
    (*owned)->answer.answered = status == RPC_STATUS_SUCCESS;
    (*owned)->answer.status = NFS3_OK;
  };
  if (rpc_nfs3_null_async(rpc_, on_answer, kept) != 0) {
    state->done = true;
    delete kept;
  }
  return Call(this, std::move(state));
}

RawClient::Call RawClient::GetAttr(const Handle& object) {
  GETATTR3args arguments{Borrow(object)};
  return Send<GETATTR3res>(rpc_nfs3_getattr_async, arguments);
}
RawClient::Call RawClient::SetAttr(const Handle& object, const sattr3& set, std::optional<nfstime3> guard) {
  SETATTR3args arguments{};
  arguments.object = Borrow(object);
  arguments.new_attributes = set;
  if (guard) {
    arguments.guard.check = 1;
    arguments.guard.sattrguard3_u.obj_ctime = *guard;
  }
  return Send<SETATTR3res>(rpc_nfs3_setattr_async, arguments);
}
RawClient::Call RawClient::Lookup(const Handle& directory, const std::string& name) {
  LOOKUP3args arguments{At(directory, name)};
  return Send<LOOKUP3res>(rpc_nfs3_lookup_async, arguments);
}
RawClient::Call RawClient::Access(const Handle& object, std::uint32_t bits) {
  ACCESS3args arguments{Borrow(object), bits};
  return Send<ACCESS3res>(rpc_nfs3_access_async, arguments);
}
RawClient::Call RawClient::ReadLink(const Handle& object) {
  READLINK3args arguments{Borrow(object)};
  return Send<READLINK3res>(rpc_nfs3_readlink_async, arguments);
}
RawClient::Call RawClient::Read(const Handle& file, std::uint64_t offset, std::uint32_t count) {
  READ3args arguments{Borrow(file), offset, count};
  return Send<READ3res>(rpc_nfs3_read_async, arguments);
}
RawClient::Call RawClient::Write(const Handle& file, std::uint64_t offset, std::string_view data, stable_how stable) {
  WRITE3args arguments{};
  arguments.file = Borrow(file);
  arguments.offset = offset;
  arguments.count = static_cast<count3>(data.size());
  arguments.stable = stable;
  arguments.data.data_len = static_cast<u_int>(data.size());
  arguments.data.data_val = const_cast<char*>(data.data());
  return Send<WRITE3res>(rpc_nfs3_write_async, arguments);
}
RawClient::Call RawClient::Create(const Handle& directory, const std::string& name, createmode3 mode,
                                  const sattr3& set) {
  CREATE3args arguments{};
  arguments.where = At(directory, name);
  arguments.how.mode = mode;
  arguments.how.createhow3_u.obj_attributes = set;
  return Send<CREATE3res>(rpc_nfs3_create_async, arguments);
}
RawClient::Call RawClient::CreateExclusive(const Handle& directory, const std::string& name,
                                           std::string_view verifier) {
  CREATE3args arguments{};
  arguments.where = At(directory, name);
  arguments.how.mode = EXCLUSIVE;
  std::memcpy(arguments.how.createhow3_u.verf, verifier.data(), sizeof arguments.how.createhow3_u.verf);
  return Send<CREATE3res>(rpc_nfs3_create_async, arguments);
}
RawClient::Call RawClient::MakeDirectory(const Handle& directory, const std::string& name, const sattr3& set) {
  MKDIR3args arguments{At(directory, name), set};
  return Send<MKDIR3res>(rpc_nfs3_mkdir_async, arguments);
}
RawClient::Call RawClient::MakeSymlink(const Handle& directory, const std::string& name, const std::string& target) {
  SYMLINK3args arguments{At(directory, name), {sattr3{}, const_cast<char*>(target.c_str())}};
  return Send<SYMLINK3res>(rpc_nfs3_symlink_async, arguments);
}
RawClient::Call RawClient::MakeNode(const Handle& directory, const std::string& name, ftype3 type, specdata3 device,
                                    const sattr3& set) {
  MKNOD3args arguments{};
  arguments.where = At(directory, name);
  arguments.what.type = type;
  if (type == NF3CHR || type == NF3BLK) {
    arguments.what.mknoddata3_u.chr_device = {set, device};
  } else {
    arguments.what.mknoddata3_u.pipe_attributes = set;
  }
  return Send<MKNOD3res>(rpc_nfs3_mknod_async, arguments);
}
RawClient::Call RawClient::Remove(const Handle& directory, const std::string& name) {
  REMOVE3args arguments{At(directory, name)};
  return Send<REMOVE3res>(rpc_nfs3_remove_async, arguments);
}
RawClient::Call RawClient::RemoveDirectory(const Handle& directory, const std::string& name) {
  RMDIR3args arguments{At(directory, name)};
  return Send<RMDIR3res>(rpc_nfs3_rmdir_async, arguments);
}
RawClient::Call RawClient::Rename(const Handle& from, const std::string& name, const Handle& to,
                                  const std::string& new_name) {
  RENAME3args arguments{At(from, name), At(to, new_name)};
  return Send<RENAME3res>(rpc_nfs3_rename_async, arguments);
}
RawClient::Call RawClient::Link(const Handle& object, const Handle& directory, const std::string& name) {
  LINK3args arguments{Borrow(object), At(directory, name)};
  return Send<LINK3res>(rpc_nfs3_link_async, arguments);
}
RawClient::Call RawClient::ReadDir(const Handle& directory, std::uint64_t cookie, std::string_view verifier,
                                   std::uint32_t count) {
  READDIR3args arguments{};
  arguments.dir = Borrow(directory);
  arguments.cookie = cookie;
  std::memcpy(arguments.cookieverf, verifier.data(), std::min(verifier.size(), sizeof arguments.cookieverf));
  arguments.count = count;
  return Send<READDIR3res>(rpc_nfs3_readdir_async, arguments);
}
RawClient::Call RawClient::ReadDirPlus(const Handle& directory, std::uint64_t cookie, std::string_view verifier,
                                       std::uint32_t dircount, std::uint32_t maxcount) {
  READDIRPLUS3args arguments{};
  arguments.dir = Borrow(directory);
  arguments.cookie = cookie;
  std::memcpy(arguments.cookieverf, verifier.data(), std::min(verifier.size(), sizeof arguments.cookieverf));
  arguments.dircount = dircount;
  arguments.maxcount = maxcount;
  return Send<READDIRPLUS3res>(rpc_nfs3_readdirplus_async, arguments);
}
RawClient::Call RawClient::FsStat(const Handle& object) {
  FSSTAT3args arguments{Borrow(object)};
  return Send<FSSTAT3res>(rpc_nfs3_fsstat_async, arguments);
}
RawClient::Call RawClient::FsInfo(const Handle& object) {
  FSINFO3args arguments{Borrow(object)};
  return Send<FSINFO3res>(rpc_nfs3_fsinfo_async, arguments);
}
RawClient::Call RawClient::PathConf(const Handle& object) {
  PATHCONF3args arguments{Borrow(object)};
  return Send<PATHCONF3res>(rpc_nfs3_pathconf_async, arguments);
}
RawClient::Call RawClient::Commit(const Handle& file, std::uint64_t offset, std::uint32_t count) {
  COMMIT3args arguments{Borrow(file), offset, count};
  return Send<COMMIT3res>(rpc_nfs3_commit_async, arguments);
}

}  // namespace strata::e2e
