//! What happens is told to whoever wants to hear of it, signed, until it is heard.

use std::time::Duration;

use serde_json::json;
use store::outbox::NewEvent;

use crate::receiver::{Answer, Receiver};
use crate::{World, command};

impl World {
    /// Puts an event into the outbox.
    async fn event(&self, event: &str) {
        let event =
            NewEvent { event: event.to_owned(), payload: json!({ "version": "1.4.0" }), request_id: None };
        self.store.outbox().enqueue(&event).await.unwrap();
    }

    /// Waits until every event is handed over.
    async fn outbox_empties(&self) {
        let start = std::time::Instant::now();
        while !self.store.outbox().waiting(10).await.unwrap().is_empty() {
            assert!(start.elapsed() < crate::DEADLINE, "events stay in the outbox");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a worker with that file until the first job has ended, and returns what went wrong last.
    async fn error_of_the_first_attempt(&self, receiver: &Receiver, more: &[(&str, &str)]) -> String {
        let file = receiver.one();
        let settings: Vec<_> = [("WEBHOOKS_FILE", file.as_str())].iter().chain(more).copied().collect();
        let _worker = self.worker_with(&settings);
        self.event("promotion.asked").await;
        let mut admin = self.admin().await;
        let start = std::time::Instant::now();
        loop {
            let error: Option<String> =
                sqlx::query_scalar("SELECT last_error FROM jobs WHERE last_error IS NOT NULL")
                    .fetch_optional(&mut admin)
                    .await
                    .unwrap();
            if let Some(error) = error {
                return error;
            }
            assert!(start.elapsed() < crate::DEADLINE, "no attempt fails");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn each_receiver_is_told_what_it_wants_to_hear_and_can_tell_that_it_is_genuine() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    let file = receiver.file(
        r#"
        [[receiver]]
        name = "ops"
        url = "{at}/ops"
        events = ["release.recorded", "promotion.asked"]
        secret-file = "{key}"

        [[receiver]]
        name = "chat"
        url = "{at}/chat"
        events = ["promotion.*"]
        format = "chat"
        "#,
    );
    let release = world.release("1.4.0").await;
    world.event("promotion.asked").await;
    let _worker = world.worker_with(&[("WEBHOOKS_FILE", &file)]);

    let mut got = receiver.gets(3).await;
    world.wait_for_all().await;

    got.sort_by(|a, b| (&a.path, &a.id).cmp(&(&b.path, &b.id)));
    let told: Vec<_> = got.iter().map(|it| (it.path.as_str(), it.is_genuine)).collect();
    assert_eq!(told, [("chat", false), ("ops", true), ("ops", true)]);
    assert_eq!(got[0].body, json!({ "text": "Slipway: promotion asked 1.4.0\nversion: 1.4.0" }));
    assert_eq!(got[1].body["type"], "release.recorded");
    assert_eq!(got[1].body["data"]["release_id"], json!(release.id));
    assert_eq!(got[1].request_id.as_deref(), Some("req-1"));
    assert_eq!(got[0].id, got[2].id, "one event has one id, whoever hears of it");
    world.outbox_empties().await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again_and_not_sooner_than_it_asked_for() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    receiver.will_answer(&[Answer::RetryAfter(3), Answer::Status(500)]);
    let file = receiver.one();
    let _worker = world.worker_with(&[("WEBHOOKS_FILE", &file)]);
    world.event("promotion.asked").await;

    let got = receiver.gets(3).await;
    world.wait_for_all().await;

    assert!(got.iter().all(|it| it.id == got[0].id), "{got:?}");
    assert!(got[1].at - got[0].at >= Duration::from_secs(3));
    // The second wait is four seconds, of which at least half is waited.
    assert!(got[2].at - got[1].at >= Duration::from_secs(2));
}

#[tokio::test]
async fn why_a_receiver_was_not_told_stands_in_the_job() {
    let receiver = Receiver::new().await;
    let first = async |answer, more: &[(&str, &str)]| {
        receiver.will_answer(&[answer]);
        World::new().await.error_of_the_first_attempt(&receiver, more).await
    };
    insta::assert_snapshot!(first(Answer::Status(404), &[]).await, @"`ops` was not told: it answered 404 Not Found");
    insta::assert_snapshot!(first(Answer::Status(302), &[]).await, @"`ops` was not told: it answered 302 Found");
    insta::assert_snapshot!(first(Answer::Hang, &[]).await, @"`ops` was not told: it did not answer within 1 s");
    let impatient = [("WORKER_ATTEMPT_S", "0")];
    insta::assert_snapshot!(first(Answer::Hang, &impatient).await, @"it was not done after 0 s");
}

#[tokio::test]
async fn an_event_that_nobody_wants_to_hear_of_is_not_kept_waiting() {
    let world = World::new().await;
    let _worker = world.worker();
    world.event("promotion.asked").await;

    world.outbox_empties().await;

    assert_eq!(world.store.jobs().figures().await.unwrap(), []);
}

#[tokio::test]
async fn a_file_of_receivers_that_cannot_be_used_is_told_at_start_without_what_is_secret() {
    let receiver = Receiver::new().await;
    let mut told = String::new();
    for entries in [
        "[[receiver]]\nname = \"ops\"\nurl = \"https://ops.example.org\"\nkeys = []\n",
        "[[receiver]]\nname = \"ops\"\nurl = \"http://ops.example.org/T0KEN\"\nsecret-file = \"{key}\"\n",
        "[[receiver]]\nname = \"ops\"\nurl = \"{at}/ops\"\n",
        "[[receiver]]\nname = \"ops\"\nurl = \"{at}/ops\"\nsecret-file = \"/nowhere\"\n",
        "[[receiver]]\nname = \"ops\"\nurl = \"{at}/ops\"\nformat = \"chat\"\n[[receiver]]\nname = \"ops\"\nurl = \"{at}/ops\"\nformat = \"chat\"\n",
    ] {
        let file = receiver.file(entries);
        let mut command = command(&[]);
        command.env("DATABASE_URL", "postgres://app@127.0.0.1:1/x").env("WEBHOOKS_FILE", &file);
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap().replace(&file, "FILE");
        told.push_str(&text.replace("worker: `worker --help` lists every setting\n", ""));
    }
    insta::assert_snapshot!(told, @"
    worker: `WEBHOOKS_FILE` is `FILE`, expected a path to a TOML file of `[[receiver]]` entries that can be used: `FILE:4`: unknown field `keys`, expected one of `name`, `url`, `url-file`, `events`, `secret-file`, `format`, `allow-http`, `timeout-s`
    worker: `WEBHOOKS_FILE` is `FILE`, expected a path to a TOML file of `[[receiver]]` entries that can be used: `FILE`, receiver `ops`: its address is not safe to send to, expected `https://…`, or `http://…` of this host or with `allow-http = true`
    worker: `WEBHOOKS_FILE` is `FILE`, expected a path to a TOML file of `[[receiver]]` entries that can be used: `FILE`, receiver `ops`: `secret-file` is missing: who gets events must be able to tell that they are genuine
    worker: `WEBHOOKS_FILE` is `FILE`, expected a path to a TOML file of `[[receiver]]` entries that can be used: `FILE`, receiver `ops`: `/nowhere` cannot be read (entity not found)
    worker: `WEBHOOKS_FILE` is `FILE`, expected a path to a TOML file of `[[receiver]]` entries that can be used: `FILE` has two receivers of the name `ops`
    ");
}
