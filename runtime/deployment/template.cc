#include "runtime/deployment/template.h"

#include "base/str.h"

namespace thaw::deployment {

Result<Template> read_template(std::string_view name, std::string_view text,
                               const TemplateOptions& options) {
  THAW_TRY(root, read_yaml(name, text));
  if (!root.is_map()) return error_at(name, root, "want a map at the top");
  if (root.find("Resources") != nullptr) return read_sam(name, root, options);
  if (root.find("resources") != nullptr) return read_serverless_devs(name, root, options);
  return error_at(name, root,
                  "neither Resources, as CloudFormation has it, nor resources, as Serverless Devs");
}

}  // namespace thaw::deployment
