// AttributesWriter: gathers what castore cannot say of a tree's nodes, in any order and in bounded memory, and makes
// the attribute blob of it (docs/formats/attributes.md). The same tree always gives the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/castore/attributes.h"
#include "store/import/record_sorter.h"

namespace strata::store {

// Thread-safe, but for Finish.
class AttributesWriter {
 public:
  // `memory`: bytes held at most; the rest goes to temporary files in `folder`.
  AttributesWriter(Env& env, const std::string& folder, std::size_t memory);

  // Of the node with this number in pre-order, once. `link_key`: the same for all names of one file or symlink; empty
  // where it is known to have one name.
  Result<void> Set(std::uint64_t number, const NodeAttributes& attributes, std::string_view link_key = {})
      STRATA_EXCLUDES(mutex_);
  // Of an entry of the directory `parent` that is no node.
  Result<void> AddSpecial(std::uint64_t parent, std::string_view name, FileType type, DeviceNumber device,
                          const NodeAttributes& attributes) STRATA_EXCLUDES(mutex_);

  // Puts the blob of the nodes from number `first` on, which is the root. kServerFault where one was not set. Once,
  // after all else.
  Result<Digest> Finish(std::uint64_t first, const Digest& root, BlobService& blobs);
  // Names beyond the first of what has several; known after Finish.
  std::uint64_t hard_links() const { return hard_links_; }

 private:
  std::uint64_t hard_links_ = 0;
  Mutex mutex_;
  // By number: attributes, then that there is a special entry, once for each.
  RecordSorter nodes_ STRATA_GUARDED_BY(mutex_);
  RecordSorter links_ STRATA_GUARDED_BY(mutex_);     // by link key, then number
  RecordSorter specials_ STRATA_GUARDED_BY(mutex_);  // by the parent's number and the name
};

}  // namespace strata::store
