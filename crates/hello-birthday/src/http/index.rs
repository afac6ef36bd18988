//! What is at the root?

/// `GET /`: the words that every program says first.
pub(super) async fn hello_world() -> &'static str {
    "Hello, world!"
}
