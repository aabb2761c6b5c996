//! A function in Rust that streams its answer: a part, a pause, and so on.
use lambda_runtime::streaming::{channel, Body, Response};
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde_json::Value;
use std::time::Duration;

async fn handle(event: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let parts = event.payload["parts"].as_u64().unwrap_or(3);
    let pause = Duration::from_millis(event.payload["pause_ms"].as_u64().unwrap_or(0));
    if event.payload["do"] == "error" {
        return Err("it will not".into());
    }
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for i in 0..parts {
            if i > 0 {
                tokio::time::sleep(pause).await;
            }
            if sender.send_data(format!("part {i}\n").into()).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::from(body))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}
