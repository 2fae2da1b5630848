//! What podman says of a built image: its user, its health check, its ports, its labels.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use super::{build::Image, containerfile::FILE, finish};
use crate::{
    context::Context,
    outcome::{Finding, StepError},
    podman::Podman,
    process::Log,
    services::Kind,
};

/// What podman says of an image, as far as it is judged.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(default)]
    config: Inside,
    /// podman keeps the health check beside the configuration, too; which of the two depends on its version.
    #[serde(default)]
    healthcheck: Option<HealthCheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inside {
    user: String,
    healthcheck: Option<HealthCheck>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthCheck {
    test: Option<Vec<String>>,
}

/// What does not hold of the built images, which are asked for in one question.
///
/// # Errors
/// When podman cannot be asked.
pub(super) fn judge(
    cx: &Context,
    podman: &Podman,
    log: &Log,
    images: &[Image],
) -> Result<Vec<Finding>, StepError> {
    let mut question = vec!["image", "inspect"];
    question.extend(images.iter().map(|it| it.recorded.reference.as_str()));
    let text = podman.answer(cx, log, &question)?;
    let inspected: Vec<Inspected> =
        serde_json::from_str(&text).context("cannot read what podman says of an image")?;
    Ok(images.iter().zip(&inspected).flat_map(|(image, it)| judged(image, it)).collect())
}

fn judged(image: &Image, inspected: &Inspected) -> Vec<Finding> {
    let name = &image.service.name;
    let mut findings = Vec::new();
    let user = inspected.config.user.split(':').next().unwrap_or_default();
    if !user.parse::<u32>().is_ok_and(|it| it > 0) {
        let message = match user {
            "" | "0" | "root" => format!("the image of `{name}` runs as root"),
            other => {
                format!("the image of `{name}` runs as `{other}`, which a cluster cannot tell from root")
            }
        };
        let finding = Finding::error("image-root-user", message).at(FILE, image.line);
        findings.push(finding.fix("USER 65532:65532"));
    }
    let check = inspected.config.healthcheck.as_ref().or(inspected.healthcheck.as_ref());
    let test = check.and_then(|it| it.test.clone()).unwrap_or_default();
    let none = test.is_empty() || test[0] == "NONE";
    if none && image.service.manifest.kind == Kind::Service {
        let message =
            format!("the image of `{name}` has no HEALTHCHECK, so a rollout cannot tell whether it works");
        let finding = Finding::error("image-no-healthcheck", message).at(FILE, image.line);
        findings.push(finding.fix(format!("HEALTHCHECK CMD [\"/usr/bin/{name}\", \"healthcheck\"]")));
    }
    if let Some(port) = image.service.manifest.port {
        let exposed = inspected.config.exposed_ports.as_ref();
        if !exposed.is_some_and(|it| it.contains_key(&format!("{port}/tcp"))) {
            let message = format!("the image of `{name}` does not say that it listens on {port}");
            let finding = Finding::warning("image-port-not-exposed", message).at(FILE, image.line);
            findings.push(finding.fix(format!("EXPOSE {port}")));
        }
    }
    let labels = inspected.config.labels.clone().unwrap_or_default();
    for key in [finish::REVISION, finish::VERSION, finish::FINGERPRINT, finish::STAND_IN_BASE] {
        match labels.get(key).map(String::as_str) {
            None | Some("") => {
                let message = format!("the image of `{name}` has lost its label `{key}`");
                findings.push(Finding::error("image-missing-label", message).at(FILE, image.line));
            }
            Some(finish::UNKNOWN) => {
                let message = format!(
                    "the image of `{name}` cannot say where it comes from (`{key}`): this is no git repository"
                );
                findings.push(Finding::warning("image-missing-label", message).fix("git init && git commit"));
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::record::Recorded, *};
    use crate::services::Service;

    const LABELS: &str = r#""org.opencontainers.image.revision": "c0ffee", "org.opencontainers.image.version": "1.0.0",
        "dev.slipway.fingerprint": "ab", "dev.slipway.stand-in-base": "false""#;

    fn found(config: &str) -> String {
        let service = Service::plain("edge");
        let image = Image { service, recorded: Recorded::default(), line: 7 };
        let inspected = serde_json::from_str(&format!("{{\"Config\": {config}}}")).unwrap();
        let lines = judged(&image, &inspected).into_iter().map(|it| format!("{}: {}", it.code, it.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_image_that_runs_as_root_and_has_no_health_check_is_told_all_of_it() {
        insta::assert_snapshot!(found(&format!("{{\"Labels\": {{{LABELS}}}}}")), @"
        image-root-user: the image of `edge` runs as root
        image-no-healthcheck: the image of `edge` has no HEALTHCHECK, so a rollout cannot tell whether it works
        image-port-not-exposed: the image of `edge` does not say that it listens on 1
        ");
    }

    #[test]
    fn an_image_as_it_should_be_is_not_mentioned() {
        let config =
            r#""User": "65532", "ExposedPorts": {"1/tcp": {}}, "Healthcheck": {"Test": ["CMD", "/edge"]}"#;
        assert_eq!(found(&format!("{{{config}, \"Labels\": {{{LABELS}}}}}")), "");
    }

    #[test]
    fn a_user_by_name_and_a_lost_label_are_told() {
        let config =
            r#""User": "nobody", "ExposedPorts": {"1/tcp": {}}, "Healthcheck": {"Test": ["CMD", "x"]}"#;
        let labels = LABELS.replace("\"ab\"", "\"unknown\"").replace("\"1.0.0\"", "\"\"");
        insta::assert_snapshot!(found(&format!("{{{config}, \"Labels\": {{{labels}}}}}")), @"
        image-root-user: the image of `edge` runs as `nobody`, which a cluster cannot tell from root
        image-missing-label: the image of `edge` has lost its label `org.opencontainers.image.version`
        image-missing-label: the image of `edge` cannot say where it comes from (`dev.slipway.fingerprint`): this is no git repository
        ");
    }
}
