//! Checks that a recorded release is at its registries as it was released and has what each environment runs, and puts
//! the verdict on the record.

use std::collections::BTreeMap;

use serde_json::json;
use store::environments::Environment;
use store::events::{Fact, Kind};
use store::jobs::{Effects, Failure, VerifyRelease};
use store::releases::Release;

use super::{Done, Task};
use crate::registries::Finding;

/// What was found out about each image, by service.
type Findings = BTreeMap<String, Finding>;

/// Reads release and environments, asks the registries, and reports the verdict.
pub(super) async fn run(task: Task) -> Done {
    let VerifyRelease { release_id } = task.payload()?;
    let store = &task.tools.store;
    let release = store.releases().get(release_id).await.map_err(later)?;
    let release =
        release.ok_or_else(|| Failure::Permanent(format!("release `{release_id}` is not recorded")))?;
    let environments = store.environments().list().await.map_err(later)?;
    let mut findings = Findings::new();
    for image in &release.images {
        let finding = task.tools.registries.look_at(image).await.map_err(later)?;
        findings.insert(image.service.clone(), finding);
    }
    let fact = judged(&release, &findings, &environments);
    Ok(Effects { facts: vec![fact], ..Effects::default() })
}

fn later(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Retry(format!("{:#}", error.into()))
}

/// The verdict, under the name that says it.
fn judged(release: &Release, findings: &Findings, environments: &[Environment]) -> Fact {
    let lacks = |service: &&String| !findings.contains_key(*service);
    let missing: BTreeMap<&str, Vec<&String>> = environments
        .iter()
        .map(|environment| (environment.name.as_str(), environment.services.iter().filter(lacks).collect()))
        .filter(|(_, services): &(_, Vec<_>)| !services.is_empty())
        .collect();
    let any = |wanted: fn(&Finding) -> bool| findings.values().any(wanted);
    // The worst that holds.
    let (kind, verdict) = if any(|it| matches!(it, Finding::Refused { .. })) {
        (Kind::ReleaseRejected, "refused")
    } else if findings.is_empty() || !missing.is_empty() {
        (Kind::ReleaseNotVerified, "incomplete")
    } else if any(|it| *it == Finding::NotChecked) {
        (Kind::ReleaseNotVerified, "not_checked")
    } else {
        (Kind::ReleaseVerified, "verified")
    };
    let details = json!({
        "release_id": release.id,
        "version": release.version,
        "verdict": verdict,
        "images": findings,
        "missing": missing,
    });
    Fact { kind, subject: format!("release/{}", release.id), details }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn told(findings: &[(&str, Finding)], environments: &[(&str, &[&str])]) -> String {
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
            images: Vec::new(),
        };
        let findings = findings.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect();
        let environments: Vec<Environment> = environments.iter().map(environment).collect();
        let mut fact = judged(&release, &findings, &environments);
        fact.details["release_id"].take();
        format!("{} {}", fact.kind.name(), fact.details)
    }

    fn verified() -> Finding {
        Finding::Verified { signed_by: vec!["key".to_owned()] }
    }

    #[test]
    fn a_release_is_verified_when_all_that_environments_run_is_signed() {
        let findings = [("gateway", verified()), ("worker", verified())];
        let environments: [(&str, &[&str]); 2] =
            [("production", &["gateway", "worker"]), ("small", &["gateway"])];
        insta::assert_snapshot!(told(&findings, &environments), @r#"release.verified {"images":{"gateway":{"signed_by":["key"],"state":"verified"},"worker":{"signed_by":["key"],"state":"verified"}},"missing":{},"release_id":null,"verdict":"verified","version":"1.4.0"}"#);
    }

    #[test]
    fn an_image_that_an_environment_lacks_makes_it_incomplete_signed_or_not() {
        let environments: [(&str, &[&str]); 1] = [("production", &["gateway", "worker"])];
        insta::assert_snapshot!(told(&[("gateway", Finding::NotChecked)], &environments), @r#"release.not_verified {"images":{"gateway":{"state":"not_checked"}},"missing":{"production":["worker"]},"release_id":null,"verdict":"incomplete","version":"1.4.0"}"#);
        insta::assert_snapshot!(told(&[], &[]), @r#"release.not_verified {"images":{},"missing":{},"release_id":null,"verdict":"incomplete","version":"1.4.0"}"#);
    }

    #[test]
    fn one_image_that_is_not_what_was_released_makes_it_refused() {
        let findings =
            [("gateway", verified()), ("worker", Finding::Refused { why: "not signed".to_owned() })];
        insta::assert_snapshot!(told(&findings, &[]), @r#"release.rejected {"images":{"gateway":{"signed_by":["key"],"state":"verified"},"worker":{"state":"refused","why":"not signed"}},"missing":{},"release_id":null,"verdict":"refused","version":"1.4.0"}"#);
    }

    #[test]
    fn where_nobody_said_whose_signatures_count_nothing_is_called_verified() {
        insta::assert_snapshot!(told(&[("gateway", Finding::NotChecked)], &[]), @r#"release.not_verified {"images":{"gateway":{"state":"not_checked"}},"missing":{},"release_id":null,"verdict":"not_checked","version":"1.4.0"}"#);
    }
}
