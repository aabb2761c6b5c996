// Fuzzes the safetensors reader. A first byte of 'I' makes the input a set: two bytes of length, an
// index of that length, then its one file, "x.safetensors"; any other input is a single file.
#include "../snapshot/memory_files.h"
#include "base/check.h"
#include "snapshot/safetensors/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thaw;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const auto blob = [](Bytes from) { return Blob(from.begin(), from.end()); };
  MemoryFiles files;
  Bytes file = bytes;
  if (size >= 3 && data[0] == 'I') {
    const std::size_t index_bytes = std::min<std::size_t>(data[1] + 256u * data[2], size - 3);
    files.files["d/model.safetensors.index.json"] = blob(bytes.subspan(3, index_bytes));
    file = bytes.subspan(3 + index_bytes);
    files.files["d/x.safetensors"] = blob(file);
  } else {
    files.files["d/model.safetensors"] = blob(file);
  }
  const auto model = safetensors::Model::open(files, "d");
  if (!model) {
    THAW_CHECK(model.error().message.find('\n') == std::string::npos);
    return 0;
  }
  const auto header_bytes = load_at<std::uint64_t>(file, 0);
  std::uint64_t covered = 0;
  for (const safetensors::Tensor& tensor : (*model)->tensors()) {
    THAW_CHECK((*model)->find(tensor.name) == &tensor);
    std::uint64_t wanted = safetensors::element_bytes(tensor.type);
    for (const std::uint64_t extent : tensor.shape) wanted *= extent;
    THAW_CHECK(tensor.bytes.size() == wanted);
    covered += tensor.bytes.size();
  }
  // An index of no tensors opens no file; every other model's tensors cover all data.
  if ((*model)->tensors().empty()) return 0;
  THAW_CHECK(header_bytes && covered == file.size() - 8 - *header_bytes);
  return 0;
}
