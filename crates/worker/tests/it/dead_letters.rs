//! Jobs that were given up wait for a person, who looks at them and decides.

use store::PageSize;
use store::audit::Filter;
use store::jobs::{Outcome, VerifyRelease};
use uuid::Uuid;

use crate::World;
use crate::receiver::{Answer, Receiver};

impl World {
    /// As [`World::jobs`], without what differs from run to run.
    async fn shows(&self, arguments: &[&str]) -> String {
        let text = self.jobs(arguments).await;
        let words = text.split_inclusive(char::is_whitespace).map(|word| {
            let plain = word.trim().trim_matches(['`', ';']);
            let is_time = plain.len() > 20 && plain.ends_with('Z') && plain.contains('T');
            match Uuid::parse_str(plain) {
                Ok(id) if !id.is_nil() => word.replace(plain, "ID"),
                _ if is_time => word.replace(plain, "TIME"),
                _ => word.to_owned(),
            }
        });
        words.collect()
    }
}

#[tokio::test]
async fn a_job_that_was_given_up_is_looked_at_and_requeued() {
    let world = World::new().await;
    let receiver = Receiver::new().await;
    receiver.will_answer(&[Answer::Status(410)]);
    let file = receiver.one();
    let _worker = world.worker_with(&[("WEBHOOKS_FILE", &file)]);
    world.release("1.4.0").await;
    world.wait_for_all().await;
    receiver.gets(1).await;

    insta::assert_snapshot!(world.shows(&["list", "--state", "dead"]).await, @"
    exit 0
    id                                   kind                 state    attempts  error
    ID deliver_webhook      dead         1/20  `ops` was not told: it answered 410 Gone: it wants no more of these
    ");
    insta::assert_snapshot!(world.shows(&["count"]).await, @"
    exit 0
    kind                       queued  running     dead   oldest (s)
    deliver_webhook                 0        0        1            0
    ");
    insta::assert_snapshot!(world.shows(&["requeue", "--all", "--kind", "deliver_webhook"]).await, @"
    exit 0
    ID requeued
    ");

    let got = receiver.gets(2).await;
    world.wait_for_all().await;
    assert_eq!(got[0].id, got[1].id);
    insta::assert_snapshot!(world.shows(&["list", "--kind", "deliver_webhook"]).await, @"
    exit 0
    id                                   kind                 state    attempts  error
    ID deliver_webhook      done         1/20  `ops` was not told: it answered 410 Gone: it wants no more of these
    ");
    let record = world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap().items;
    let requeued = record.iter().find(|entry| entry.action == "job.requeued").unwrap();
    assert_eq!(requeued.actor, "cli/ann");
}

#[tokio::test]
async fn a_job_that_makes_no_sense_is_shown_and_discarded_and_stays_on_the_record() {
    let world = World::new().await;
    let gone = VerifyRelease { release_id: Uuid::nil() }.job();
    let id = world.store.jobs().enqueue(&gone).await.unwrap();
    let _worker = world.worker();
    world.wait_for_job(id, |job| job.outcome == Some(Outcome::Failed)).await;
    let id = id.to_string();

    insta::assert_snapshot!(world.shows(&["show", &id]).await, @r#"
    exit 0
    id          ID
    kind        verify_release
    state       dead
    attempts    1 of 5
    created     TIME
    due         TIME
    ended       TIME
    holder      -
    request     -
    error       release `00000000-0000-0000-0000-000000000000` is not recorded
    payload     {
      "release_id": "00000000-0000-0000-0000-000000000000"
    }
    "#);
    insta::assert_snapshot!(world.shows(&["discard", &id]).await, @"
    exit 0
    ID discarded
    ");
    insta::assert_snapshot!(world.shows(&["discard", &id, "--as", "bob"]).await, @"
    exit 1
    worker: not dead, so left alone: `ID`; `worker jobs list --state dead` lists those that are
    ");
    insta::assert_snapshot!(world.shows(&["show", &id]).await, @"
    exit 1
    worker: there is no job `ID`
    ");

    let record = world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap().items;
    let details = record[0].details.to_string().replace(&id, "ID");
    insta::assert_snapshot!(details, @r#"{"job_id":"ID","kind":"verify_release","last_error":"release `00000000-0000-0000-0000-000000000000` is not recorded","payload":{"release_id":"00000000-0000-0000-0000-000000000000"}}"#);
}

#[tokio::test]
async fn what_cannot_be_done_is_told() {
    let world = World::new().await;
    insta::assert_snapshot!(world.shows(&["list", "--state", "lost"]).await, @"
    exit 2
    error: invalid value 'lost' for '--state <STATE>': expected queued, running, dead or done

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.shows(&["requeue"]).await, @"
    exit 2
    error: the following required arguments were not provided:
      <IDS>...

    Usage: worker jobs requeue <IDS>...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(world.shows(&["show", "1"]).await, @"
    exit 2
    error: invalid value '1' for '<ID>': invalid length: found 1

    For more information, try '--help'.
    ");

    let mut command = crate::command(&["jobs", "count"]);
    let output = command.env("DATABASE_URL", "postgres://app:hush@127.0.0.1:1/x").output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"worker: the database does not answer: pool timed out while waiting for an open connection");
}
