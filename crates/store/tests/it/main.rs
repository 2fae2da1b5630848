//! The store against a real Postgres whose migrations were applied role by role; queries run as the app role.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod events;
mod forgetting;
mod jobs;
mod record;
mod refusals;
mod told;

use scratch_store::ScratchStore;
use store::audit::Filter;
use store::releases::{Image, NewRelease};
use store::{Origin, Store};

/// A migrated database of the test's own, and the store as a service sees it.
struct World {
    scratch: ScratchStore,
    store: Store,
}

impl World {
    async fn new() -> Self {
        let scratch = ScratchStore::migrated().await;
        let store = Store::connect(&scratch.app_url()).await.expect("the scratch database answers");
        Self { scratch, store }
    }
}

fn about(subject: &str) -> Filter {
    Filter { subject: Some(subject.to_owned()), ..Filter::default() }
}

fn ann() -> Origin {
    Origin { actor: "ann".to_owned(), request_id: Some("req-1".to_owned()) }
}

fn image(service: &str, digit: char) -> Image {
    Image {
        service: service.to_owned(),
        repository: format!("registry.example.org/slipway/{service}"),
        digest: format!("sha256:{}", digit.to_string().repeat(64)),
    }
}

fn release(version: &str) -> NewRelease {
    NewRelease {
        version: version.to_owned(),
        commit_id: "c0ffee00".repeat(5),
        images: vec![image("worker", 'b'), image("gateway", 'a')],
        signing_key_id: None,
        evidence: None,
    }
}
