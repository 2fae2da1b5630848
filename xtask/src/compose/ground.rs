//! What a stack stands on before its first container: secrets, a network, volumes, images.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Image, Up,
    containers::{PROJECT_LABEL, STACK_LABEL, Wanted},
    environment_file,
    file::Service,
    lock,
    running::Engine,
};
use crate::{
    images::{self, Wish},
    outcome::{Finding, Outcome, StepError, StepResult},
};

impl Up {
    /// Secrets, the network, the volumes.
    pub(super) fn lay_ground(&self, engine: Engine<'_>) -> StepResult {
        let Engine { cx, podman, log } = engine;
        if let Some((program, arguments)) = self.stack.file.own.prepare.split_first() {
            let process = cx.process(program).args(arguments).log(log);
            let finished = process.run()?;
            if !finished.success() {
                let message = format!("`{}` ended with {}", process.display(), finished.code());
                let output = format!("{}{}", finished.stdout, finished.stderr);
                return Ok(Outcome::ToolFailed {
                    findings: vec![Finding::error("prepare-failed", message)],
                    output,
                });
            }
        }
        self.has_files(engine)?;
        let root = cx.root.display().to_string();
        let ours = [
            format!("--label={STACK_LABEL}={root}"),
            format!("--label={PROJECT_LABEL}={}", self.stack.project),
        ];
        let mut things = vec![("network", self.stack.network())];
        things.extend(self.stack.file.volumes.keys().map(|it| ("volume", self.stack.volume(it))));
        for (kind, name) in things {
            if podman.agrees(cx, &[kind, "exists", &name])? {
                let label = format!("{{{{index .Labels \"{STACK_LABEL}\"}}}}");
                let owner = engine.ask(&[kind, "inspect", "--format", &label, &name])?;
                if owner != root && owner.starts_with('/') {
                    let lacks = format!(
                        "the {kind} `{name}` belongs to the stack of `{owner}`, a folder of the same name"
                    );
                    return Err(StepError::environment(lacks, format!("cargo xtask -C {owner} down")));
                }
            } else {
                engine.ask(&[kind, "create", &ours[0], &ours[1], &name])?;
            }
        }
        Ok(Outcome::Judged(self.strangers(engine)?))
    }

    /// All that services mount has to be there, and what is not is told at once.
    fn has_files(&self, engine: Engine<'_>) -> Result<(), StepError> {
        let lacking = Wanted::lacking(engine.cx, &self.stack);
        if lacking.is_empty() {
            return Ok(());
        }
        let files = self.options.files.iter().filter_map(|it| it.file_name());
        let examples = files.map(|it| format!("{}.example", environment_file(&it.to_string_lossy())));
        let examples: Vec<String> = examples.filter(|it| engine.cx.root.join(it).is_file()).collect();
        let fix = match examples.as_slice() {
            [] => "put it where the compose file says".to_owned(),
            examples => format!("put it there, or say where it is; see {}", examples.join(", ")),
        };
        Err(StepError::environment(format!("not there: {}", lacking.join(", ")), fix))
    }

    /// Containers of this stack that the file does not name, such as those of another file.
    fn strangers(&self, engine: Engine<'_>) -> Result<Vec<Finding>, StepError> {
        let held = engine.held()?;
        let strangers = held.iter().filter(|it| !self.stack.file.services.contains_key(&it.service));
        let names: Vec<&str> = strangers.map(|it| it.name.as_str()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let message = format!("`{}` is of this stack, and the file does not name it", names.join("`, `"));
        Ok(vec![Finding::warning("not-in-the-file", message).fix("cargo xtask down")])
    }

    /// An image for every service.
    pub(super) fn see_to_images(&self, engine: Engine<'_>) -> StepResult {
        let Engine { cx, podman, log } = engine;
        let services: Vec<(&String, &Service)> =
            self.stack.order.iter().map(|name| (name, &self.stack.file.services[name])).collect();
        let target = |it: &Service| it.build.as_ref().filter(|_| !it.chosen).and_then(|it| it.target.clone());
        let targets: Vec<String> = services.iter().filter_map(|(_, it)| target(it)).collect();
        let own = match images::of_targets(cx, log, &targets, self.options.images)? {
            Ok(own) => own,
            Err(outcome) => return Ok(outcome),
        };
        let mut references: BTreeMap<&String, String> = BTreeMap::new();
        // Services may share an image, which is built once.
        let mut built: BTreeSet<String> = BTreeSet::new();
        for (name, service) in services {
            let image = match (target(service).and_then(|it| own.get(&it)), &service.image) {
                (Some(own), _) => own.clone(),
                (None, Some(image)) if service.build.is_none() || service.chosen => {
                    images::obtained(cx, podman, log, image)?
                }
                (None, image) => {
                    let name = image
                        .clone()
                        .unwrap_or_else(|| format!("localhost/{}/{name}:up", self.stack.project));
                    if built.insert(format!("{name} {:?}", service.build)) {
                        self.build(engine, service, &name)?;
                    }
                    name
                }
            };
            references.insert(name, image);
        }
        let asked: Vec<&str> = references.values().map(String::as_str).collect();
        let said = engine.ask(&[&["image", "inspect", "--format", "{{.Id}}"], asked.as_slice()].concat())?;
        let images = references.into_iter().zip(said.lines());
        *lock(&self.images) = images
            .map(|((name, reference), id)| (name.clone(), Image { reference, id: id.trim().to_owned() }))
            .collect();
        Ok(Outcome::Judged(Vec::new()))
    }

    /// Builds an image that is no service's of this workspace, as the file says.
    fn build(&self, engine: Engine<'_>, service: &Service, image: &str) -> Result<(), StepError> {
        let Engine { cx, podman, .. } = engine;
        let Some(build) = &service.build else { return Ok(()) };
        if self.options.images == Wish::AsTheyAre {
            if podman.agrees(cx, &["image", "exists", image])? {
                return Ok(());
            }
            return Err(images::no_image(&[image]));
        }
        let context = cx.root.join(&build.context);
        let file = context.join(build.dockerfile.as_deref().unwrap_or("Containerfile"));
        let mut arguments = vec!["build".to_owned(), "--format=docker".into(), format!("--tag={image}")];
        arguments.push(format!("--file={}", file.display()));
        arguments.extend(build.target.iter().map(|it| format!("--target={it}")));
        for (name, value) in &build.args.0 {
            arguments.push(format!("--build-arg={name}={}", value.as_deref().unwrap_or_default()));
        }
        arguments.push(context.display().to_string());
        engine.ask(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }
}
