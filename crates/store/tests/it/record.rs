//! Releases, environments, the audit record and the outbox.

use serde_json::json;
use sqlx::{Connection, PgConnection};
use store::audit::{Filter, NewEntry};
use store::environments::{Expected, Put, Wanted};
use store::jobs::VerifyRelease;
use store::releases::RecordError;
use store::{Error, Novelty, PageSize};

use crate::{World, about, ann, image, release};

#[tokio::test]
async fn a_recorded_release_can_be_read_back_by_identifier_and_by_version() {
    let world = World::new().await;
    let recorded = world.store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap().value;

    assert_eq!(recorded.images, [image("gateway", 'a'), image("worker", 'b')]);
    assert_eq!(recorded.recorded_by, "ann");
    assert_eq!(world.store.releases().get(recorded.id).await.unwrap(), Some(recorded.clone()));
    assert_eq!(world.store.releases().find_version("1.4.0").await.unwrap(), Some(recorded));
    assert_eq!(world.store.releases().find_version("1.4.1").await.unwrap(), None);
}

#[tokio::test]
async fn recording_a_release_leaves_an_audit_entry_an_event_and_a_job() {
    let world = World::new().await;
    let recorded = world.store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap().value;

    let subject = format!("release/{}", recorded.id);
    let entries = world.store.audit().list(&about(&subject), None, PageSize::default()).await.unwrap().items;
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

    let error = world.store.releases().record(&bad, None, &ann()).await.unwrap_err();

    assert!(matches!(error, RecordError::Store(Error::Invalid(_))));
    insta::assert_snapshot!(error, @"`digest` must be `sha256:` and 64 lower-case hex digits");
    assert_eq!(world.store.releases().list(None, PageSize::default()).await.unwrap().items, []);
    assert_eq!(
        world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap().items,
        []
    );
    assert_eq!(world.store.outbox().waiting(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_version_is_recorded_once_and_another_content_is_told_field_by_field() {
    let world = World::new().await;
    let first = world.store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap();
    let again = world.store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap();
    assert_eq!((first.novelty, again.novelty), (Novelty::New, Novelty::Known));
    assert_eq!(first.value, again.value);

    let mut other = release("1.4.0");
    other.commit_id = "decade00".repeat(5);
    other.images.pop();
    other.images.push(image("proxy", 'c'));
    other.evidence = Some("https://registry.example.org/record".to_owned());
    let error = world.store.releases().record(&other, None, &ann()).await.unwrap_err();
    let RecordError::Differs(differences) = error else { panic!("{error}") };
    let told = |it: &store::releases::Difference| format!("{}: {}", it.field, it.recorded.is_some());
    insta::assert_snapshot!(differences.iter().map(told).collect::<Vec<_>>().join("\n"), @"
    commit: true
    images/gateway: true
    images/proxy: false
    evidence: false
    ");
    // The second and the third attempt left nothing.
    let entries = world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap();
    assert_eq!(entries.items.len(), 1);
    assert_eq!(world.store.events().after(0, 10).await.unwrap().len(), 1);
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
        refused.push(world.store.releases().record(&bad, None, &ann()).await.unwrap_err().to_string());
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
        world.store.releases().record(&release(version), None, &ann()).await.unwrap();
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
    let wanted = Wanted { services: ["worker", "gateway"].map(str::to_owned).into(), ..Wanted::default() };
    let put = world.store.environments().put("production", &wanted, Expected::Unsaid, &ann()).await.unwrap();
    let Put::Created(created) = put else { panic!("{put:?}") };

    assert_eq!(created.services, ["gateway", "worker"]);
    assert_eq!(world.store.environments().list().await.unwrap(), std::slice::from_ref(&created));
    assert_eq!(world.store.environments().find("production").await.unwrap(), Some(created.clone()));
    assert_eq!(world.store.environments().find("staging").await.unwrap(), None);
    let again =
        world.store.environments().put("production", &wanted, Expected::Unsaid, &ann()).await.unwrap();
    assert_eq!(again, Put::Unchanged(created));
}

#[tokio::test]
async fn no_image_joins_a_release_that_is_recorded() {
    let world = World::new().await;
    let recorded = world.store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap().value;
    let mut app = PgConnection::connect(&world.scratch.app_url()).await.unwrap();
    let refused = sqlx::query(
        "INSERT INTO release_images (release_id, service, repository, digest)
         SELECT $1, 'proxy', repository, digest FROM release_images LIMIT 1",
    );
    let error = refused.bind(recorded.id).execute(&mut app).await.unwrap_err();
    let message = error.as_database_error().unwrap().message().replace(&recorded.id.to_string(), "…");
    insta::assert_snapshot!(message, @"release … is recorded: no image can be added to it");
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

    let first = world.store.audit().list(&Filter::default(), None, PageSize::clamped(2)).await.unwrap();
    let second =
        world.store.audit().list(&Filter::default(), first.next, PageSize::clamped(2)).await.unwrap();

    assert_eq!(first.items[0].subject, "thing/3");
    assert_eq!(second.items.len(), 1);
    assert_eq!((second.items[0].subject.as_str(), second.next), ("thing/1", None));
}
