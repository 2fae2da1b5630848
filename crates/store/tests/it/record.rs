//! Releases, environments, the audit record and the outbox.

use serde_json::json;
use store::audit::NewEntry;
use store::jobs::VerifyRelease;
use store::{Error, PageSize};

use crate::{World, ann, image, release};

#[tokio::test]
async fn a_recorded_release_can_be_read_back_by_identifier_and_by_version() {
    let world = World::new().await;
    let recorded = world.store.releases().record(&release("1.4.0"), &ann()).await.unwrap();

    assert_eq!(recorded.images, [image("gateway", 'a'), image("worker", 'b')]);
    assert_eq!(recorded.recorded_by, "ann");
    assert_eq!(world.store.releases().get(recorded.id).await.unwrap(), Some(recorded.clone()));
    assert_eq!(world.store.releases().find_version("1.4.0").await.unwrap(), Some(recorded));
    assert_eq!(world.store.releases().find_version("1.4.1").await.unwrap(), None);
}

#[tokio::test]
async fn recording_a_release_leaves_an_audit_entry_an_event_and_a_job() {
    let world = World::new().await;
    let recorded = world.store.releases().record(&release("1.4.0"), &ann()).await.unwrap();

    let subject = format!("release/{}", recorded.id);
    let entries = world.store.audit().list(Some(&subject), None, PageSize::default()).await.unwrap().items;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action, "release.recorded");
    assert_eq!((entries[0].actor.as_str(), entries[0].request_id.as_deref()), ("ann", Some("req-1")));
    assert_eq!(entries[0].details["version"], "1.4.0");

    let events = world.store.outbox().waiting(10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].payload, entries[0].details);

    let kinds = [VerifyRelease::KIND.to_owned()];
    let job =
        world.store.jobs().lease(&kinds, "w", std::time::Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(job.payload, json!({ "release_id": recorded.id }));
    assert_eq!(job.request_id.as_deref(), Some("req-1"));
}

#[tokio::test]
async fn a_release_with_a_bad_digest_leaves_nothing_at_all() {
    let world = World::new().await;
    let mut bad = release("1.4.0");
    bad.images[1].digest = "latest".to_owned();

    let error = world.store.releases().record(&bad, &ann()).await.unwrap_err();

    assert!(matches!(error, Error::Invalid(_)));
    insta::assert_snapshot!(error, @"`digest` must be `sha256:` and 64 lower-case hex digits");
    assert_eq!(world.store.releases().list(None, PageSize::default()).await.unwrap().items, []);
    assert_eq!(world.store.audit().list(None, None, PageSize::default()).await.unwrap().items, []);
    assert_eq!(world.store.outbox().waiting(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_version_is_recorded_once() {
    let world = World::new().await;
    world.store.releases().record(&release("1.4.0"), &ann()).await.unwrap();

    let error = world.store.releases().record(&release("1.4.0"), &ann()).await.unwrap_err();

    assert!(matches!(error, Error::Conflict(_)));
    insta::assert_snapshot!(error, @"a release of this `version` is recorded already");
}

#[tokio::test]
async fn what_the_schema_refuses_is_explained() {
    let world = World::new().await;
    let mut refused = Vec::new();
    for change in [
        (|release| release.version = "v1".to_owned()) as fn(&mut store::releases::NewRelease),
        |release| release.commit_id = "HEAD".to_owned(),
        |release| release.images[0].service = "Gate Way".to_owned(),
        |release| release.images[0].repository.clear(),
        |release| release.images[0] = release.images[1].clone(),
    ] {
        let mut bad = release("1.4.0");
        change(&mut bad);
        refused.push(world.store.releases().record(&bad, &ann()).await.unwrap_err().to_string());
    }
    insta::assert_snapshot!(refused.join("\n"), @r"
    `version` must be a semantic version such as `1.4.0`
    `commit_id` must be the full commit, 40 or 64 lower-case hex digits
    `service` must be lower-case letters, digits and hyphens, and start with a letter
    `repository` must not be empty
    `images` names a service twice
    ");
}

#[tokio::test]
async fn releases_are_listed_newest_first_a_page_at_a_time() {
    let world = World::new().await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        world.store.releases().record(&release(version), &ann()).await.unwrap();
    }

    let first = world.store.releases().list(None, PageSize::clamped(2)).await.unwrap();
    let second = world.store.releases().list(first.next, PageSize::clamped(2)).await.unwrap();

    let versions = |items: &[store::releases::Release]| {
        items.iter().map(|release| release.version.clone()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&first.items), ["1.2.0", "1.1.0"]);
    assert_eq!(first.items[0].images.len(), 2);
    assert_eq!(versions(&second.items), ["1.0.0"]);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn an_environment_knows_what_it_runs() {
    let world = World::new().await;
    let services = ["worker".to_owned(), "gateway".to_owned()];
    let created = world.store.environments().create("production", &services, &ann()).await.unwrap();

    assert_eq!(created.services, ["gateway", "worker"]);
    assert_eq!(world.store.environments().list().await.unwrap(), std::slice::from_ref(&created));
    assert_eq!(world.store.environments().find("production").await.unwrap(), Some(created));
    assert_eq!(world.store.environments().find("staging").await.unwrap(), None);
    let error = world.store.environments().create("production", &[], &ann()).await.unwrap_err();
    insta::assert_snapshot!(error, @"an environment of this `name` is recorded already");
}

#[tokio::test]
async fn audit_entries_are_listed_newest_first_a_page_at_a_time() {
    let world = World::new().await;
    for number in 1..=3 {
        let entry = NewEntry {
            action: "thing.done".to_owned(),
            subject: format!("thing/{number}"),
            details: json!({}),
        };
        world.store.audit().append(&entry, &ann()).await.unwrap();
    }

    let first = world.store.audit().list(None, None, PageSize::clamped(2)).await.unwrap();
    let second = world.store.audit().list(None, first.next, PageSize::clamped(2)).await.unwrap();

    assert_eq!(first.items[0].subject, "thing/3");
    assert_eq!(second.items.len(), 1);
    assert_eq!((second.items[0].subject.as_str(), second.next), ("thing/1", None));
}
