//! Somebody who follows changes as they happen.

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::door::DEADLINE;

/// An open stream of server-sent events.
pub(crate) struct Follower {
    body: Body,
    /// What came and is not read yet.
    text: String,
    /// The last event's number.
    last: i64,
}

impl Follower {
    /// Waits until the stream says where it stands: what happens from then on comes.
    pub(crate) async fn begin(body: Body) -> Self {
        let mut follower = Self { body, text: String::new(), last: -1 };
        let first = follower.block().await;
        follower.last = number(&first);
        follower
    }

    /// The next event, whose number is greater than those before.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let block = self.block().await;
            let Some(data) = field(&block, "data") else { continue };
            let number = number(&block);
            assert!(number > self.last, "{number} comes after {}", self.last);
            self.last = number;
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(
                (event["id"].as_i64(), event["event"].as_str()),
                (Some(number), field(&block, "event"))
            );
            return event;
        }
    }

    /// What stands before the next empty line and is no comment alone.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if block.lines().any(|line| !line.starts_with(':')) {
                    return block;
                }
                continue;
            }
            let frame = timeout(DEADLINE, self.body.frame()).await.expect("an event comes in time");
            let frame = frame.expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(&frame.into_data().unwrap_or_default()).unwrap();
        }
    }
}

fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn number(block: &str) -> i64 {
    field(block, "id").and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no number: {block}"))
}
