// AtLayer: a layer that shows another one at a sub-directory, so that it takes part in a merge there and nowhere else.
//
// The directories on the way are made up, each holding the next one alone. They merge with other layers' directories as
// any directory does, but for their attributes: where a layer below has the directory too, its owner and mode count
// (LayerStat::made_up). Else it is of root, with mode 0755 and time 0.
//
// Ids of what is made up are those that layers leave free (kFirstFreeId), by depth. All other nodes keep the ids that
// they have in the inner layer.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "vfs/layer.h"

namespace strata::vfs {

// `at`: "/a/b", as LayerSpec::at has it; "" gives `inner` itself. The root of `inner` may be of any type. kInvalid for
// another form, and for a layer that is shown at a sub-directory already: join the two paths instead. Other failures
// are those of looking at the root of `inner`.
Result<std::unique_ptr<Layer>> PlaceLayerAt(std::unique_ptr<Layer> inner, std::string_view at);

}  // namespace strata::vfs
