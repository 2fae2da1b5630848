//! What the Containerfile itself tells: who the images run as, how their health is asked for, what they begin with.
//!
//! All of it is judged before anything is built, for every image at once.

use std::collections::BTreeMap;

use super::containerfile::{Containerfile, FILE, Instruction, SCRATCH, Stage};
use crate::{
    config::{Base, CONFIG_FILE},
    outcome::Finding,
    services::{Kind, Service},
};

/// Labels that only the Containerfile can give, with what stands for their value in a fix.
const OWN_LABELS: &[&str] = &["org.opencontainers.image.title", "org.opencontainers.image.licenses"];
const TITLE: &str = "org.opencontainers.image.title";
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"];

/// What is wrong with the Containerfile as the images of these services need it.
pub(super) fn judge(
    file: &Containerfile,
    services: &[Service],
    bases: &BTreeMap<String, Base>,
) -> Vec<Finding> {
    let mut findings = unpinned(file, services, bases);
    for service in services {
        match file.stage(&service.manifest.image) {
            Some(stage) => findings.extend(Target::new(file, stage, service).judge()),
            None => findings.push(without_target(service, file)),
        }
    }
    // What a stage says that images share is told once.
    let mut told: Vec<(String, Option<u32>, Option<String>)> = Vec::new();
    findings.retain(|it| {
        let same = (it.code.clone(), it.line, it.fix.clone());
        let is_new = !told.contains(&same);
        told.push(same);
        is_new
    });
    findings
}

/// One image as its instructions make it.
struct Target<'a> {
    stage: &'a Stage,
    service: &'a Service,
    /// In order, those of the stages that it begins with first.
    instructions: Vec<&'a Instruction>,
    from_scratch: bool,
}

impl<'a> Target<'a> {
    fn new(file: &'a Containerfile, stage: &'a Stage, service: &'a Service) -> Self {
        let chain = file.chain(stage);
        let from_scratch = chain.first().is_some_and(|it| it.parent == SCRATCH);
        let instructions = chain.iter().flat_map(|it| &it.instructions).collect();
        Self { stage, service, instructions, from_scratch }
    }

    fn judge(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.user());
        findings.extend(self.started_by_a_shell());
        findings.extend(self.health());
        findings.extend(self.labels());
        findings
    }

    /// The one that counts: a later one takes the place of an earlier one.
    fn last(&self, name: &str) -> Option<&'a Instruction> {
        self.instructions.iter().rfind(|it| it.name == name).copied()
    }

    fn says(&self, what: &str) -> String {
        format!("the image of `{}` {what}", self.service.name)
    }

    /// Where a line is missing, the last line of the target is the one to add it after.
    fn missing(&self, code: &str, message: String, fix: impl Into<String>) -> Finding {
        let after = self.stage.last_line();
        let fix = format!("add after line {after}: {}", fix.into());
        Finding::error(code, message).at(FILE, after).fix(fix)
    }

    fn user(&self) -> Option<Finding> {
        let fix = "USER 65532:65532";
        let Some(user) = self.last("USER") else {
            // What a base says of its user is known once it is built.
            let message = self.says("runs as root: nothing says as whom else");
            return self.from_scratch.then(|| self.missing("image-root-user", message, fix));
        };
        let name = user.rest.split(':').next().unwrap_or_default().trim_matches('"');
        let what = match name {
            "root" | "0" => "runs as root".to_owned(),
            name if name.parse::<u32>().is_ok() || name.contains('$') => return None,
            name => format!("runs as `{name}`, which a cluster cannot tell from root"),
        };
        Some(Finding::error("image-root-user", self.says(&what)).at(FILE, user.line).fix(fix))
    }

    /// The words of an instruction of the form `["/a", "b"]`; a shell reads every other form.
    fn started_by_a_shell(&self) -> Option<Finding> {
        let (instruction, list) = self.entry()?;
        let program = list.as_ref().and_then(|it| it.first()).map(|it| base_name(it));
        let what = match program {
            None => "is started through `/bin/sh`, which does not pass TERM on",
            Some(program) if SHELLS.contains(&program) => {
                "is started through a shell, which does not pass TERM on"
            }
            Some(_) => return None,
        };
        let own = || format!("/usr/bin/{}", self.service.name);
        let words = match list {
            Some(_) => vec![own()],
            None => instruction.rest.split_whitespace().map(str::to_owned).collect(),
        };
        let fix = format!("{} {words:?}", instruction.name);
        Some(Finding::error("image-shell", self.says(what)).at(FILE, instruction.line).fix(fix))
    }

    /// What the image runs: its entry point, else its command.
    fn entry(&self) -> Option<(&'a Instruction, Option<Vec<String>>)> {
        let instruction = self.last("ENTRYPOINT").or_else(|| self.last("CMD"))?;
        Some((instruction, instruction.list()))
    }

    fn health(&self) -> Option<Finding> {
        if self.service.manifest.kind != Kind::Service {
            return None;
        }
        let code = "image-no-healthcheck";
        let program = self.entry().map(|(entry, list)| {
            let spoken = || entry.rest.split_whitespace().next().unwrap_or_default().to_owned();
            list.and_then(|it| it.first().cloned()).unwrap_or_else(spoken)
        });
        let program = program.unwrap_or_else(|| format!("/usr/bin/{}", self.service.name));
        let fix = format!("HEALTHCHECK CMD [\"{program}\", \"healthcheck\"]");
        let none = "has no HEALTHCHECK, so a rollout cannot tell whether it works";
        let Some(check) = self.last("HEALTHCHECK") else {
            return Some(self.missing(code, self.says(none), fix));
        };
        let told = |what: &str| Some(Finding::error(code, self.says(what)).at(FILE, check.line).fix(&fix));
        let Some((_, command)) = check.rest.split_once("CMD") else { return told(none) };
        let words: Option<Vec<String>> = serde_json::from_str(command.trim()).ok();
        let Some(words) = words.filter(|it| !it.is_empty()) else {
            return told("has a HEALTHCHECK that needs a shell, which no image holds");
        };
        if SHELLS.contains(&base_name(&words[0])) {
            return told("has a HEALTHCHECK that needs a shell, which no image holds");
        }
        if words[0] != program {
            let what = format!(
                "asks `{}` for its health; only its own binary `{program}` is sure to be in it",
                words[0]
            );
            return told(&what);
        }
        None
    }

    fn labels(&self) -> Vec<Finding> {
        let mut found: BTreeMap<String, (String, u32)> = BTreeMap::new();
        for label in self.instructions.iter().filter(|it| it.name == "LABEL") {
            found.extend(pairs(&label.rest).into_iter().map(|(key, value)| (key, (value, label.line))));
        }
        let name = &self.service.name;
        let mut findings = Vec::new();
        for key in OWN_LABELS {
            let value = if *key == TITLE { name.as_str() } else { "MIT" };
            let fix = format!("LABEL {key}=\"{value}\"");
            match found.get(*key) {
                Some((text, line)) if *key == TITLE && text != name => {
                    let message = self.says(&format!("says that it is `{text}` (`{key}`)"));
                    findings.push(Finding::error("image-missing-label", message).at(FILE, *line).fix(fix));
                }
                Some((text, _)) if !text.is_empty() => {}
                _ => {
                    let message = self.says(&format!("has no label `{key}`"));
                    findings.push(self.missing("image-missing-label", message, fix));
                }
            }
        }
        findings
    }
}

/// Bases that say another thing tomorrow, or that nobody has agreed on.
fn unpinned(file: &Containerfile, services: &[Service], bases: &BTreeMap<String, Base>) -> Vec<Finding> {
    let targets = services.iter().filter_map(|it| file.stage(&it.manifest.image));
    let mut stages: Vec<&Stage> = targets.flat_map(|it| file.needed(it)).collect();
    stages.sort_by_key(|it| it.line);
    stages.dedup_by_key(|it| it.line);
    let mut used: Vec<(String, u32)> = Vec::new();
    for stage in stages {
        let copied = stage.instructions.iter().filter_map(|it| Some((it.source()?, it.line)));
        for (reference, line) in [(stage.parent.as_str(), stage.line)].into_iter().chain(copied) {
            let is_number = reference.parse::<usize>().is_ok();
            if reference == SCRATCH || is_number || file.stage(reference).is_some() {
                continue;
            }
            // An argument's default is where the name stands.
            let argument = file.arguments.iter().find(|(name, _)| reference.contains(name.as_str()));
            let line = argument.map_or(line, |(_, (_, line))| *line);
            let reference = file.resolved(reference);
            if !used.iter().any(|it| it.0 == reference) {
                used.push((reference, line));
            }
        }
    }
    used.iter().filter_map(|(reference, line)| unpinned_base(reference, *line, bases)).collect()
}

fn unpinned_base(reference: &str, line: u32, bases: &BTreeMap<String, Base>) -> Option<Finding> {
    let (name, digest) = reference.split_once('@').map_or((reference, None), |(name, it)| (name, Some(it)));
    let tag = name.rsplit('/').next().and_then(|it| it.split_once(':')).map(|(_, tag)| tag);
    let known = bases.values().find(|it| it.image == name);
    let what = match (tag, known) {
        (None, _) if digest.is_none() => "has no tag, so it is whatever was pushed last".to_owned(),
        (Some("latest"), _) => "is whatever was pushed last".to_owned(),
        (_, None) => format!("is not in the table of bases in `{CONFIG_FILE}`"),
        (_, Some(base)) => match (digest, &base.digest) {
            (Some(digest), Some(pinned)) if digest != pinned => {
                format!("has another digest than the table in `{CONFIG_FILE}`, `{pinned}`")
            }
            _ => return None,
        },
    };
    let fix = if let Some(base) = bases.values().find(|it| repository(&it.image) == repository(name)) {
        format!("name it as the table does: {}", base.image)
    } else {
        format!(
            "an exact tag here, and in {CONFIG_FILE}: [images.bases.NAME] with `image`, `digest` and `argument`"
        )
    };
    let message = format!("the base `{reference}` {what}");
    Some(Finding::error("image-unpinned-base", message).at(FILE, line).fix(fix))
}

/// A name without its tag.
fn repository(image: &str) -> &str {
    let folder = image.rfind('/').map_or(0, |it| it + 1);
    image[folder..].find(':').map_or(image, |it| &image[..folder + it])
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `a=b "c"="d e"`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => words.push(String::new()),
            _ => words.iter_mut().last().into_iter().for_each(|it| it.push(c)),
        }
    }
    let pair = |word: &String| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    words.iter().filter_map(pair).collect()
}

pub(super) fn without_target(service: &Service, file: &Containerfile) -> Finding {
    let known: Vec<&str> = file.stages.iter().map(|it| it.name.as_str()).collect();
    let message = format!(
        "the Containerfile has no target `{}` for `{}`; it has `{}`",
        service.manifest.image,
        service.name,
        known.join("`, `")
    );
    let fix = format!(
        "add `FROM runtime AS {}`, or correct `image` in the crate's manifest",
        service.manifest.image
    );
    Finding::error("image-build-failed", message).at(FILE, None).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "ARG BUILDER=acme.example/rust:1.0\nFROM ${BUILDER} AS builder\nRUN make\n\
        FROM scratch AS edge-runtime\nCOPY --from=builder /out/ /\n\
        LABEL org.opencontainers.image.title=\"edge\" org.opencontainers.image.licenses=\"MIT OR X\"\n\
        USER 65532:65532\nHEALTHCHECK --interval=10s CMD [\"/edge\", \"healthcheck\"]\nENTRYPOINT [\"/edge\"]\n";

    fn found(text: &str) -> String {
        let service = Service::plain("edge");
        let base = Base {
            image: "acme.example/rust:1.0".into(),
            argument: Some("BUILDER".into()),
            digest: Some("sha256:aa".into()),
        };
        let bases = BTreeMap::from([("builder".to_owned(), base)]);
        let findings = judge(&Containerfile::parse(text), &[service], &bases);
        findings.iter().map(|it| format!("{it}\n")).collect()
    }

    #[test]
    fn a_containerfile_as_it_should_be_is_not_mentioned() {
        assert_eq!(found(GOOD), "");
        assert_eq!(found(&GOOD.replace(":1.0\n", ":1.0@sha256:aa\n")), "");
    }

    #[test]
    fn who_an_image_runs_as_is_told_at_its_line() {
        insta::assert_snapshot!(found(&GOOD.replace("USER 65532:65532\n", "")), @"
        Containerfile:8: error[image-root-user]
          the image of `edge` runs as root: nothing says as whom else
          fix: add after line 8: USER 65532:65532
        ");
        insta::assert_snapshot!(found(&GOOD.replace("USER 65532:65532", "USER 0")), @"
        Containerfile:7: error[image-root-user]
          the image of `edge` runs as root
          fix: USER 65532:65532
        ");
        insta::assert_snapshot!(found(&GOOD.replace("USER 65532:65532", "USER nobody")), @"
        Containerfile:7: error[image-root-user]
          the image of `edge` runs as `nobody`, which a cluster cannot tell from root
          fix: USER 65532:65532
        ");
    }

    #[test]
    fn health_is_asked_of_the_images_own_binary_without_a_shell() {
        let check = "HEALTHCHECK --interval=10s CMD [\"/edge\", \"healthcheck\"]";
        insta::assert_snapshot!(found(&GOOD.replace(check, "EXPOSE 1")), @r#"
        Containerfile:9: error[image-no-healthcheck]
          the image of `edge` has no HEALTHCHECK, so a rollout cannot tell whether it works
          fix: add after line 9: HEALTHCHECK CMD ["/edge", "healthcheck"]
        "#);
        insta::assert_snapshot!(found(&GOOD.replace(check, "HEALTHCHECK NONE")), @r#"
        Containerfile:8: error[image-no-healthcheck]
          the image of `edge` has no HEALTHCHECK, so a rollout cannot tell whether it works
          fix: HEALTHCHECK CMD ["/edge", "healthcheck"]
        "#);
        insta::assert_snapshot!(found(&GOOD.replace(check, "HEALTHCHECK CMD /edge healthcheck")), @r#"
        Containerfile:8: error[image-no-healthcheck]
          the image of `edge` has a HEALTHCHECK that needs a shell, which no image holds
          fix: HEALTHCHECK CMD ["/edge", "healthcheck"]
        "#);
        insta::assert_snapshot!(found(&GOOD.replace(check, "HEALTHCHECK CMD [\"curl\", \"-f\", \"x\"]")), @r#"
        Containerfile:8: error[image-no-healthcheck]
          the image of `edge` asks `curl` for its health; only its own binary `/edge` is sure to be in it
          fix: HEALTHCHECK CMD ["/edge", "healthcheck"]
        "#);
    }

    #[test]
    fn a_shell_that_starts_an_image_is_told() {
        insta::assert_snapshot!(found(&GOOD.replace("ENTRYPOINT [\"/edge\"]", "ENTRYPOINT /edge")), @r#"
        Containerfile:9: error[image-shell]
          the image of `edge` is started through `/bin/sh`, which does not pass TERM on
          fix: ENTRYPOINT ["/edge"]
        "#);
    }

    #[test]
    fn bases_that_may_change_or_are_in_no_table_are_told_where_they_are_named() {
        insta::assert_snapshot!(found(&GOOD.replace("rust:1.0", "rust")), @"
        Containerfile:1: error[image-unpinned-base]
          the base `acme.example/rust` has no tag, so it is whatever was pushed last
          fix: name it as the table does: acme.example/rust:1.0
        ");
        insta::assert_snapshot!(found(&GOOD.replace("rust:1.0", "rust:latest")), @"
        Containerfile:1: error[image-unpinned-base]
          the base `acme.example/rust:latest` is whatever was pushed last
          fix: name it as the table does: acme.example/rust:1.0
        ");
        insta::assert_snapshot!(found(&GOOD.replace("FROM scratch", "FROM docker.io/library/alpine:3.20")), @"
        Containerfile:4: error[image-unpinned-base]
          the base `docker.io/library/alpine:3.20` is not in the table of bases in `.config/xtask.toml`
          fix: an exact tag here, and in .config/xtask.toml: [images.bases.NAME] with `image`, `digest` and `argument`
        ");
        insta::assert_snapshot!(found(&GOOD.replace("rust:1.0", "rust:1.0@sha256:bb")), @"
        Containerfile:1: error[image-unpinned-base]
          the base `acme.example/rust:1.0@sha256:bb` has another digest than the table in `.config/xtask.toml`, `sha256:aa`
          fix: name it as the table does: acme.example/rust:1.0
        ");
    }

    #[test]
    fn labels_that_are_missing_or_somebody_elses_are_told() {
        insta::assert_snapshot!(found(&GOOD.replace("title=\"edge\"", "title=\"worker\"")), @r#"
        Containerfile:6: error[image-missing-label]
          the image of `edge` says that it is `worker` (`org.opencontainers.image.title`)
          fix: LABEL org.opencontainers.image.title="edge"
        "#);
        insta::assert_snapshot!(found(&GOOD.replace("org.opencontainers.image.licenses=\"MIT OR X\"", "")), @r#"
        Containerfile:9: error[image-missing-label]
          the image of `edge` has no label `org.opencontainers.image.licenses`
          fix: add after line 9: LABEL org.opencontainers.image.licenses="MIT"
        "#);
    }
}
