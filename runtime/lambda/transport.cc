#include "runtime/lambda/transport.h"

#include <utility>

namespace thaw::lambda {
namespace {

class HttpTransport final : public Transport {
 public:
  explicit HttpTransport(std::unique_ptr<http::Client> client) : client_(std::move(client)) {}

  Result<http::Response> request(const http::Call& call) override { return client_->request(call); }
  Result<http::Response> request(const http::Call& call, const http::Client::Sink& sink) override {
    return client_->request(call, sink);
  }
  Result<Done> begin_chunked(const http::Call& call, std::string_view trailers) override {
    return client_->begin_chunked(call, trailers);
  }
  Result<Done> write(std::string_view part) override { return client_->write(part); }
  Result<http::Response> finish(const http::Fields& trailers) override {
    return client_->finish(trailers);
  }
  const http::Response* early_answer() const override { return client_->early_answer(); }
  void close() override { client_->abort(); }
  void interrupt() override { client_->interrupt(); }

 private:
  std::unique_ptr<http::Client> client_;
};

}  // namespace

Connect connect_to(std::string authority) {
  return [authority = std::move(authority)]() -> Result<std::unique_ptr<Transport>> {
    http::ClientOptions options;
    options.head_bytes_max = kEventHeadBytesMax;
    options.blanks_controls = true;  // a client's context is passed on as it came
    THAW_TRY(client, http::Client::create(authority, options));
    return std::unique_ptr<Transport>(std::make_unique<HttpTransport>(std::move(client)));
  };
}

}  // namespace thaw::lambda
