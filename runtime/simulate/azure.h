// Azure's public traces: github.com/Azure/AzurePublicDataset.
#pragma once

#include "runtime/simulate/lines.h"

namespace thaw::simulate {

// Both begin behind the heading, and check it.
Result<std::unique_ptr<Arrivals>> open_azure_functions(Lines lines, std::string_view heading,
                                                       const TraceOptions& options);
Result<std::unique_ptr<Arrivals>> open_azure_llm(Lines lines, std::string_view heading,
                                                 const TraceOptions& options);

}  // namespace thaw::simulate
