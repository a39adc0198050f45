// The 22 procedures, by family. Contract of all: rpc::Procedure::handler.
#pragma once

#include "server/rpc/program.h"

namespace strata::nfs3 {

using Handler = rpc::Outcome(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                             rpc::ReplyBuffer& reply);

Handler GetAttr, SetAttr, Access;        // attributes.cc
Handler Lookup, ReadLink;                // lookup.cc
Handler Read, Write, Commit;             // data.cc
Handler Create, Mkdir, Symlink, Mknod;   // create.cc
Handler Remove, Rmdir, Rename, Link;     // remove.cc
Handler ReadDir, ReadDirPlus;            // directory.cc
Handler Null, FsStat, FsInfo, PathConf;  // volume.cc

}  // namespace strata::nfs3
