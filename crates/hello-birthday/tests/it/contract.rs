//! What every client may rely on, asked of any running service.

use crate::app::App;
use crate::client::{Client, new_name};

/// The service to ask: the one at `HELLO_TEST_URL`, or else one that is started for the test.
struct Target {
    client: Client,
    _app: Option<App>,
}

impl Target {
    async fn find() -> Self {
        match std::env::var("HELLO_TEST_URL") {
            Ok(url) => {
                let host = url.trim_start_matches("http://").trim_end_matches('/');
                let address = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
                Self { client: Client { address }, _app: None }
            }
            Err(_) => {
                let app = App::start().await;
                Self { client: app.client, _app: Some(app) }
            }
        }
    }
}

#[tokio::test]
async fn the_root_says_hello_world() {
    let Target { client, .. } = &Target::find().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, world!"));
    let _ = new_name();
}
