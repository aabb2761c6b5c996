#include "runtime/deployment/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace thaw::deployment {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kWhole = R"(
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev}
  Memory: {Type: Number, Default: 2048}
Globals:
  Function:
    Timeout: 30
    Runtime: provided.al2023
    Tracing: Active
    Environment: {Variables: {SHARED: "1", STAGE: prod}}
Resources:
  Jobs: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs}}
  Dead: {Type: AWS::SQS::Queue}
  Uploads: {Type: AWS::S3::Bucket}
  Other: {Type: AWS::Serverless::Function, Properties: {Handler: other.thaw}}
  Chat:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "chat-${Stage}"
      CodeUri: code/
      Handler: !Join [".", [smollm2, thaw]]
      MemorySize: !Ref Memory
      Environment:
        Variables:
          STAGE: {Ref: Stage}
          QUEUE: !GetAtt Jobs.Arn
          WHERE: !Sub "${AWS::Region}/${!literal}/${Jobs.QueueName}"
      ReservedConcurrentExecutions: 5
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Dead.Arn}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        MaximumEventAgeInSeconds: 120
        DestinationConfig:
          OnSuccess: {Type: Lambda, Destination: !GetAtt Other.Arn}
      FunctionUrlConfig:
        AuthType: NONE
        InvokeMode: RESPONSE_STREAM
        Cors: {AllowOrigins: ["https://a.example"], AllowMethods: [GET], MaxAge: 60}
      Events:
        Get: {Type: Api, Properties: {Path: "/items/{id}", Method: get}}
        Any: {Type: HttpApi}
        Work: {Type: SQS, Properties: {Queue: !GetAtt Jobs.Arn, BatchSize: 3,
               FunctionResponseTypes: [ReportBatchItemFailures]}}
        Tick: {Type: Schedule, Properties: {Schedule: rate(5 minutes), Input: '{"a":1}'}}
        Files: {Type: S3, Properties: {Bucket: !Ref Uploads, Events: "s3:ObjectCreated:*"}}
        Topic: {Type: SNS, Properties: {Topic: x}}
)";

TEST(Sam, ReadsWhatTheEmulatorPlays) {
  const auto read = read_template("t.yaml", kWhole, {});
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->functions.size(), 2u);
  const TemplateFunction& chat = read->functions[1];
  const emulator::FunctionOptions& options = chat.options;
  EXPECT_EQ(options.name, "chat-dev");
  EXPECT_EQ(chat.code, "code/");
  EXPECT_EQ(chat.handler, "smollm2.thaw");
  EXPECT_EQ(options.memory_mb, 2048u);
  EXPECT_EQ(options.timeout, 30s);
  EXPECT_THAT(options.environment,
              ElementsAre("SHARED=1", "STAGE=dev", "QUEUE=arn:aws:sqs:us-east-1:123456789012:jobs",
                          "WHERE=us-east-1/${literal}/jobs"));
  EXPECT_EQ(options.reserved_concurrency, 5u);
  EXPECT_EQ(options.pool.provisioned, 2u);
  EXPECT_EQ(options.dead_letter, "arn:aws:sqs:us-east-1:123456789012:Dead");
  EXPECT_EQ(options.asynchronous.retries_max, 1u);
  EXPECT_EQ(options.asynchronous.age_max, 120s);
  EXPECT_EQ(options.asynchronous.on_success,
            "arn:aws:lambda:us-east-1:123456789012:function:Other");
  EXPECT_TRUE(options.url_streams);
  EXPECT_EQ(options.cors->max_age_seconds, 60u);
  EXPECT_FALSE(read->functions[0].options.url_streams) << "BUFFERED is SAM's default";
  EXPECT_EQ(read->functions[0].options.memory_mb, 128u);
  ASSERT_EQ(read->apis.size(), 2u);
  EXPECT_EQ(read->apis[0].name, "ServerlessRestApi");
  EXPECT_EQ(read->apis[0].routes[0].method, "GET");
  EXPECT_EQ(read->apis[1].routes[0].path, "$default");
  ASSERT_EQ(read->sources.size(), 3u);
  EXPECT_EQ(read->sources[0].name, "jobs");
  EXPECT_EQ(read->sources[0].batch_size, 3u);
  EXPECT_TRUE(read->sources[0].partial_failures);
  EXPECT_EQ(read->sources[1].expression, "rate(5 minutes)");
  EXPECT_EQ(read->sources[2].name, "Uploads");
  EXPECT_THAT(read->notes, testing::Contains(HasSubstr("Tracing")));
  EXPECT_THAT(read->notes, testing::Contains(HasSubstr("type SNS")));
}

TEST(Sam, TakesParametersFromOutside) {
  TemplateOptions options;
  options.parameters = {{"Stage", "live"}};
  EXPECT_EQ(read_template("t", kWhole, options)->functions[1].options.name, "chat-live");
  options.parameters = {{"Nothing", "x"}};
  EXPECT_THAT(read_template("t", kWhole, options).error().message, HasSubstr("'Nothing'"));
}

// A template of one function with such properties.
std::string refused(const std::string& properties) {
  const std::string text =
      "Parameters:\n  P: {Type: String}\nResources:\n  A:\n    Type: "
      "AWS::Serverless::Function\n    Properties: " +
      properties + "\n";
  const auto read = read_template("t.yaml", text, {});
  EXPECT_FALSE(read) << properties;
  return read ? "" : read.error().message;
}

TEST(Sam, RefusesByNameAndPlaceWhatItCannotKnow) {
  EXPECT_EQ(refused("{Handler: !ImportValue x}"),
            "template 't.yaml': line 6, column 27: the function 'ImportValue' is not known here; "
            "write what it gives, or use Ref, Sub, GetAtt, Join");
  EXPECT_THAT(refused("{Handler: {'Fn::If': [a, b, c]}}"), HasSubstr("the function 'If'"));
  EXPECT_THAT(refused("{Handler: !Ref P}"), HasSubstr("--parameter P=VALUE"));
  EXPECT_THAT(refused("{Handler: !Ref Nobody}"), HasSubstr("'Nobody' is no parameter"));
  EXPECT_THAT(refused("{Handler: !GetAtt A.Nothing}"), HasSubstr("Fn::GetAtt A.Nothing"));
  EXPECT_THAT(refused("{Handler: !Sub '${'}"), HasSubstr("without '}'"));
  EXPECT_THAT(refused("{Handler: !Sub [1]}"), HasSubstr("Fn::Sub"));
  EXPECT_THAT(refused("{Handler: !Join x}"), HasSubstr("Fn::Join"));
}

TEST(Sam, RefusesWhatHasTheWrongShape) {
  EXPECT_THAT(refused("{}"), HasSubstr("no Handler"));
  for (const char* bad :
       {"{Handler: [a]}", "{Handler: a, MemorySize: 127}", "{Handler: a, MemorySize: x}",
        "{Handler: a, Timeout: 901}", "{Handler: a, Timeout: 1.5}", "{Handler: a, Timeout: -1}",
        "{Handler: a, Environment: x}", "{Handler: a, Environment: {Variables: {A: [1]}}}",
        "{Handler: a, FunctionUrlConfig: {InvokeMode: FAST}}",
        "{Handler: a, FunctionUrlConfig: {Cors: {AllowCredentials: maybe}}}",
        "{Handler: a, FunctionUrlConfig: {Cors: {AllowOrigins: {a: b}}}}",
        "{Handler: a, EventInvokeConfig: {MaximumRetryAttempts: 3}}",
        "{Handler: a, EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS}}}}",
        "{Handler: a, ReservedConcurrentExecutions: 1001}", "{Handler: a, Events: {E: x}}",
        "{Handler: a, Events: {E: {Type: Api, Properties: {Path: /}}}}",
        "{Handler: a, Events: {E: {Type: SQS}}}", "{Handler: a, Events: {E: {Type: S3}}}",
        "{Handler: a, Events: {E: {Type: Schedule}}}"}) {
    EXPECT_THAT(refused(bad), HasSubstr("template 't.yaml': line")) << bad;
  }
  const std::string large(4097, 'x');
  EXPECT_THAT(refused("{Handler: a, Environment: {Variables: {A: " + large + "}}}"),
              HasSubstr("4 KB"));
  for (const char* bad : {"x", "[]", "{}", "Resources: x", "Resources: {A: x}",
                          "Resources: {A: {Type: AWS::S3::Bucket}}", "resources: {}",
                          "resources: {a: {component: fc3}}"}) {
    EXPECT_FALSE(read_template("t", bad, {})) << bad;
  }
}

TEST(Sam, RefusesQueuesAndBucketsWhoseNamesAreNoFiles) {
  for (const char* name : {"../x", "a/b", ".hidden", "'a b'", "''"}) {
    for (const char* kind : {"SQS, Properties: {Queue: ", "S3, Properties: {Bucket: "}) {
      EXPECT_THAT(refused(std::string("{Handler: a, Events: {E: {Type: ") + kind + name + "}}}}"),
                  HasSubstr("want a name of 1 to 80"))
          << kind << name;
    }
  }
  EXPECT_THAT(refused("{Handler: a, Events: {E: {Type: SQS, Properties: {Queue: " +
                      std::string(81, 'q') + "}}}}"),
              HasSubstr("want a name"));
}

TEST(Sam, TellsInOneLineWhateverNamesAreInIt) {
  EXPECT_THAT(refused(R"({Handler: !Ref "a\nb\x1b[31m"})"), Not(HasSubstr("\n")));
  const std::string name(10'000, 'n');
  EXPECT_LT(refused("{Handler: !Ref " + name + "}").size(), 500u);
  const auto read = read_template(
      "t", R"(Resources:
  A: {Type: "x\ny"}
  B: {Type: AWS::Serverless::Function, Properties: {Handler: b, "k\ney": 1}})", {});
  ASSERT_TRUE(read) << read.error().message;
  for (const std::string& note : read->notes) EXPECT_THAT(note, Not(HasSubstr("\n")));
}

TEST(Sam, RefusesABombOfFunctions) {
  std::string bomb = "''";
  for (int level = 0; level < 4; ++level) {
    std::string uses;
    for (int i = 0; i < 100; ++i) uses += "${a}";
    bomb = "!Sub ['" + uses + "', {a: " + bomb + "}]";
  }
  EXPECT_THAT(refused("{Handler: " + bomb + "}"), HasSubstr("more than 100000 functions"));
}

std::string contents(const std::string& path) {
  std::ifstream file(THAW_SOURCE_DIR + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ServerlessDevs, ReadsWhatTheEmulatorPlays) {
  const auto read = read_template("s.yaml", R"(
edition: 3.0.0
resources:
  site: {component: website}
  model:
    component: fc3
    props:
      functionName: infer
      runtime: custom.debian12
      handler: a.thaw
      memorySize: 4096
      timeout: 600
      instanceConcurrency: 4
      concurrencyConfig: {reservedConcurrency: 3}
      provisionConfig: {defaultTarget: 1}
      environmentVariables: {A: b}
      triggers:
        - {triggerName: web, triggerType: http}
        - triggerName: tick
          triggerType: timer
          triggerConfig: {cronExpression: "@every 5m", payload: hello, enable: true}
        - {triggerName: x, triggerType: oss}
)",
                                  {});
  ASSERT_TRUE(read) << read.error().message;
  const emulator::FunctionOptions& options = read->functions[0].options;
  EXPECT_EQ(options.name, "infer");
  EXPECT_EQ(options.timeout, 600s);
  EXPECT_EQ(options.pool.invocations_per_instance, 4u);
  EXPECT_EQ(options.pool.provisioned, 1u);
  EXPECT_EQ(options.reserved_concurrency, 3u);
  EXPECT_THAT(options.environment, ElementsAre("A=b"));
  ASSERT_EQ(read->sources.size(), 1u);
  EXPECT_EQ(read->sources[0].expression, "@every 5m");
  EXPECT_EQ(read->notes.size(), 2u);
  EXPECT_THAT(read_template("s.yaml", "resources: {a: {component: fc3, props: {code: '${x}'}}}", {})
                  .error()
                  .message,
              HasSubstr("line 1, column"));
}

TEST(Template, OursWorkAsTheyAre) {
  const auto sam = read_template("template.yaml", contents("/deploy/lambda/template.yaml"), {});
  ASSERT_TRUE(sam) << sam.error().message;
  EXPECT_EQ(sam->functions[0].options.name, "Model");
  EXPECT_EQ(sam->functions[0].handler, "smollm2.thaw");
  EXPECT_TRUE(sam->functions[0].options.url_streams);
  EXPECT_EQ(sam->functions[0].options.memory_mb, 3008u);
  const auto devs = read_template("s.yaml", contents("/deploy/fc/s.yaml"), {});
  ASSERT_TRUE(devs) << devs.error().message;
  EXPECT_EQ(devs->functions[0].options.name, "thaw-smollm2");
  EXPECT_EQ(devs->functions[0].handler, "smollm2.thaw");
  EXPECT_EQ(devs->functions[0].code, "./code");
}

}  // namespace
}  // namespace thaw::deployment
