//! A function in Rust as people write them, that does as its event says.
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "do", default)]
    what: String,
    #[serde(default)]
    text: String,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    request_id: String,
    function: String,
    deadline: bool,
    pid: u32,
}

async fn handle(event: LambdaEvent<Asked>) -> Result<Answer, Error> {
    let (asked, context) = event.into_parts();
    println!("rust does {}", asked.what);
    match asked.what.as_str() {
        "error" => return Err("it will not".into()),
        "panic" => panic!("it cannot"),
        "hang" => tokio::time::sleep(Duration::from_secs(60)).await,
        "exit" => std::process::exit(7),
        _ => {}
    }
    Ok(Answer {
        text: asked.text,
        request_id: context.request_id,
        function: context.env_config.function_name.clone(),
        deadline: context.deadline > 0,
        pid: std::process::id(),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::spawn_graceful_shutdown_handler(|| async {
        println!("rust was told to end");
    })
    .await;
    run(service_fn(handle)).await
}
