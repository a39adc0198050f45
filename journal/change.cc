#include "journal/change.h"

namespace strata::journal {

std::string_view RecordKindName(RecordKind kind) {
  switch (kind) {
    case RecordKind::kFormat:
      return "format";
    case RecordKind::kOpen:
      return "open";
    case RecordKind::kWrite:
      return "write";
    case RecordKind::kSetAttributes:
      return "setattr";
    case RecordKind::kCreate:
      return "create";
    case RecordKind::kMakeDirectory:
      return "mkdir";
    case RecordKind::kMakeSymlink:
      return "symlink";
    case RecordKind::kMakeNode:
      return "mknod";
    case RecordKind::kRemove:
      return "remove";
    case RecordKind::kRemoveDirectory:
      return "rmdir";
    case RecordKind::kRename:
      return "rename";
    case RecordKind::kLink:
      return "link";
    case RecordKind::kMove:
      return "move";
  }
  return "unknown";
}

// Not inline: GCC 12 takes a part of an InlinedVector that is not used for one that is not initialized.
void Change::Push(const Effect& effect) { effects_.push_back(effect); }

}  // namespace strata::journal
