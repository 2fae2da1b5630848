//! Checks that a recorded release has what each environment runs, and puts the verdict on the record.

use std::collections::BTreeMap;

use serde_json::json;
use store::Error;
use store::audit::NewEntry;
use store::environments::Environment;
use store::jobs::{Effects, Failure, VerifyRelease};
use store::releases::Release;

use super::{Done, Task};

/// Reads release and environments, and reports the verdict.
pub(super) async fn run(task: Task) -> Done {
    let VerifyRelease { release_id } = task.payload()?;
    let store = &task.tools.store;
    let release = store.releases().get(release_id).await.map_err(later)?;
    let release =
        release.ok_or_else(|| Failure::Permanent(format!("release `{release_id}` is not recorded")))?;
    let environments = store.environments().list().await.map_err(later)?;
    Ok(Effects { entries: vec![verdict(&release, &environments)], ..Effects::default() })
}

fn later(error: Error) -> Failure {
    Failure::Retry(format!("{:#}", anyhow::Error::from(error)))
}

fn verdict(release: &Release, environments: &[Environment]) -> NewEntry {
    let bad: Vec<&str> = release
        .images
        .iter()
        .filter(|image| !is_digest(&image.digest))
        .map(|image| image.service.as_str())
        .collect();
    let lacks = |service: &&String| {
        bad.contains(&service.as_str()) || release.images.iter().all(|image| image.service != **service)
    };
    let missing: BTreeMap<&str, Vec<&String>> = environments
        .iter()
        .map(|environment| (environment.name.as_str(), environment.services.iter().filter(lacks).collect()))
        .collect();
    let complete = bad.is_empty() && !release.images.is_empty() && missing.values().all(Vec::is_empty);
    NewEntry {
        action: "release.verified".to_owned(),
        subject: format!("release/{}", release.id),
        details: json!({
            "verdict": if complete { "complete" } else { "incomplete" },
            "version": release.version,
            "images": release.images.len(),
            "bad_digests": bad,
            "missing": missing,
        }),
    }
}

/// The schema refuses others today; the record may be older than the schema.
fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

#[cfg(test)]
mod tests {
    use store::releases::Image;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn details(services: &[(&str, &str)], environments: &[(&str, &[&str])]) -> String {
        let image = |(service, digest): &(&str, &str)| Image {
            service: (*service).to_owned(),
            repository: "registry.example.org/x".to_owned(),
            digest: (*digest).to_owned(),
        };
        let environment = |(name, services): &(&str, &[&str])| Environment {
            id: Uuid::nil(),
            name: (*name).to_owned(),
            services: services.iter().map(|service| (*service).to_owned()).collect(),
            protected: false,
            requires: None,
            desired: None,
            revision: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
        };
        let release = Release {
            id: Uuid::nil(),
            version: "1.4.0".to_owned(),
            commit_id: "c0ffee00".repeat(5),
            signing_key_id: None,
            evidence: None,
            recorded_by: "ann".to_owned(),
            recorded_at: OffsetDateTime::UNIX_EPOCH,
            images: services.iter().map(image).collect(),
        };
        let environments: Vec<Environment> = environments.iter().map(environment).collect();
        verdict(&release, &environments).details.to_string()
    }

    #[test]
    fn a_release_is_complete_when_it_has_all_that_each_environment_runs() {
        let good = format!("sha256:{}", "a".repeat(64));
        let services = [("gateway", good.as_str()), ("worker", good.as_str())];
        let environments: [(&str, &[&str]); 2] =
            [("production", &["gateway", "worker"]), ("small", &["gateway"])];
        insta::assert_snapshot!(details(&services, &environments), @r#"{"bad_digests":[],"images":2,"missing":{"production":[],"small":[]},"verdict":"complete","version":"1.4.0"}"#);
    }

    #[test]
    fn an_image_that_is_missing_or_has_no_real_digest_makes_it_incomplete() {
        let services = [("gateway", "sha256:short")];
        let environments: [(&str, &[&str]); 1] = [("production", &["gateway", "worker"])];
        insta::assert_snapshot!(details(&services, &environments), @r#"{"bad_digests":["gateway"],"images":1,"missing":{"production":["gateway","worker"]},"verdict":"incomplete","version":"1.4.0"}"#);
    }

    #[test]
    fn a_release_without_images_is_incomplete() {
        insta::assert_snapshot!(details(&[], &[]), @r#"{"bad_digests":[],"images":0,"missing":{},"verdict":"incomplete","version":"1.4.0"}"#);
    }
}
