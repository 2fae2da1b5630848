//! Verdicts that are kept: a step that was green on the very same inputs need not run again.
//!
//! A verdict is found by all that it depended on, compared in full, and never by age. Only green is kept, and only where the
//! inputs were the same after the run as before.

mod explain;
mod facts;
pub(crate) mod inputs;
mod named;
pub(crate) mod parts;
mod store;
pub(crate) mod tree;

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hasher as _},
};

pub(crate) use self::{
    explain::explain,
    facts::{around, today},
};
use self::{
    facts::Facts,
    inputs::{Git, Inputs, Patterns},
    store::Kept,
    tree::{Content, Tree},
};
use crate::{
    context::Context,
    events::StepRecord,
    images::{self, Question},
    outcome::{Finding, Status},
    steps::Step,
};

/// What the tool itself was compiled of.
const SOURCES: &str = env!("XTASK_SOURCES");
/// The gate's own crates, in the workspace that the tool comes from.
const GATE: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "rust-toolchain.toml",
    ".cargo/",
    "crates/migration-gate/",
    "crates/scratch-postgres/",
    "!crates/migration-gate/tests/",
    "!crates/scratch-postgres/tests/",
];

/// Everything that a verdict depends on, as text that is compared whole: a line a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    fn new(facts: &Facts) -> Self {
        let mut text = String::new();
        for (name, value) in facts {
            text.push_str(name);
            text.push('\t');
            text.push_str(value);
            text.push('\n');
        }
        Self(text)
    }

    /// Names the key on this machine. A name that two keys share costs a verdict and gives none: the facts are compared.
    fn name(&self) -> String {
        let mut words = self.0.as_bytes().chunks_exact(8);
        let mut sum = self.0.len() as u64;
        let mut take = |word: [u8; 8]| {
            sum = (sum.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        };
        for word in words.by_ref() {
            take(word.try_into().unwrap_or_default());
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        take(last);
        format!("{:016x}", sum ^ sum >> 29)
    }

    /// Names what was judged: the same on every machine that judges the same commit with the same configuration.
    pub(crate) fn fingerprint(&self) -> String {
        let content = ["file ", "gate ", "the configuration"];
        hashed(self.0.lines().filter(|line| content.iter().any(|it| line.starts_with(it))))
    }

    fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once('\t'))
    }

    /// What differs, a line each.
    fn since(&self, old: &Self) -> Vec<String> {
        let (then, now): (Facts, Facts) = (old.owned(), self.owned());
        let mut changes = Vec::new();
        for (name, value) in &now {
            match then.get(name) {
                Some(old) if old == value => {}
                Some(_) => changes.push(format!("{} changed", shown(name))),
                None => changes.push(format!("{} is new", shown(name))),
            }
        }
        let gone = then.keys().filter(|it| !now.contains_key(*it));
        changes.extend(gone.map(|name| format!("{} is gone", shown(name))));
        // Files first: that is what people change.
        changes.sort_by_key(|it| it.starts_with("the ") || it.starts_with('`'));
        changes
    }

    fn owned(&self) -> Facts {
        self.facts().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Two hashes, so that two texts hardly ever share a name.
pub(crate) fn hashed<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut hashers = [DefaultHasher::new(), DefaultHasher::new()];
    hashers[1].write_u8(1);
    for part in parts {
        hashers.iter_mut().for_each(|it| it.write(part.as_bytes()));
        hashers.iter_mut().for_each(|it| it.write_u8(b'\n'));
    }
    hashers.iter().map(|it| format!("{:016x}", it.finish())).collect()
}

/// A fact's name as people read it.
fn shown(name: &str) -> String {
    match name.split_once(' ') {
        Some(("file", path)) => path.into(),
        Some(("gate", path)) => format!("{path} of the tool's own workspace"),
        Some(("program", name)) => format!("the program `{name}`"),
        Some(("variable", name)) => format!("the variable `{name}`"),
        Some(("tag", name)) => format!("the tag `{name}`"),
        _ => name.into(),
    }
}

/// What is known of the working tree at one moment, and the verdicts of before.
#[derive(Debug)]
pub(crate) struct Verdicts<'a> {
    cx: &'a Context,
    tree: Option<Tree>,
    /// The tree of the tool's own workspace, where that is another one.
    home: Option<Tree>,
    /// The documents at the root that some source names.
    named: BTreeSet<String>,
    /// What git knows besides, and what holds for every step; asked once.
    git: OnceCell<Facts>,
    around: OnceCell<Facts>,
    /// What podman has; asked once.
    images: OnceCell<Question>,
}

/// Whether a step must run.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It was green on the same inputs.
    Hit(Box<StepRecord>),
    /// It must run, and why; without a key its verdict is not kept.
    Run { reason: String, key: Option<Key> },
}

impl<'a> Verdicts<'a> {
    /// With a tree that was just read.
    pub(crate) fn of(cx: &'a Context, tree: Option<Tree>) -> Self {
        let named = tree.as_ref().map(|it| named::documents(cx, it)).unwrap_or_default();
        let home = (cx.home != cx.root).then(|| Tree::read(&cx.home)).flatten();
        let (git, around, images) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { cx, tree, home, named, git, around, images }
    }

    /// Asks podman for the images of the last run, whose answer comes while keys are made.
    pub(crate) fn ask_for_images(&self) -> &Question {
        self.images.get_or_init(|| Question::begin(self.cx))
    }

    /// Looks for a verdict on what is there now.
    pub(crate) fn decide(&self, step: &Step) -> Decision {
        let key = match self.key(step) {
            Ok(key) => key,
            Err(reason) => return Decision::Run { reason, key: None },
        };
        match store::find(self.cx, step.name, &key) {
            Some(kept) if kept.images.is_empty() || self.ask_for_images().hold(&kept.images) => {
                Decision::Hit(Box::new(hit(self.cx, step, kept)))
            }
            Some(_) => Decision::Run { reason: "an image of its last run is gone".into(), key: Some(key) },
            None => Decision::Run { reason: self.reason(step, &key), key: Some(key) },
        }
    }

    /// The images that a verdict on what is there now is about; none without one.
    pub(crate) fn images(&self, step: &Step) -> Vec<String> {
        let key = self.key(step).ok();
        key.and_then(|it| store::find(self.cx, step.name, &it)).map(|it| it.images).unwrap_or_default()
    }

    /// What a step depends on now, or why no verdict of it is kept.
    pub(crate) fn key(&self, step: &Step) -> Result<Key, String> {
        self.key_of(step.name, &(step.inputs)(self.cx))
    }

    /// What a step of this name with these inputs depends on.
    fn key_of(&self, step: &str, inputs: &Inputs) -> Result<Key, String> {
        let Some(tree) = &self.tree else {
            return Err("no verdict is kept outside of a git repository".into());
        };
        if let Some(path) = self.cx.outside() {
            return Err(format!("no verdict is kept: a crate stands on `{path}`, outside of the workspace"));
        }
        let mut facts = self.files(tree, inputs)?;
        facts.insert("the tool itself".into(), SOURCES.into());
        facts.insert("the configuration".into(), inputs.settings.join(" ").replace(['\n', '\t'], " "));
        if inputs.server
            && let Some(why) = facts::server(self.cx, &mut facts)
        {
            return Err(format!("no verdict is kept: {why}"));
        }
        let today = facts::today();
        let dated = Patterns::of(&inputs.dates);
        for path in tree.files.keys().filter(|it| !inputs.dates.is_empty() && dated.read(it)) {
            let text = fs::read_to_string(self.cx.root.join(path)).unwrap_or_default();
            facts::dates(path, &text, &today, &mut facts);
        }
        if inputs.day {
            facts.insert("the day".into(), today);
        }
        if inputs.git != Git::Nothing {
            let known = self.git.get_or_init(|| facts::git(&self.cx.root, tree)).iter();
            let counts = |name: &str| inputs.git == Git::Commits || name != facts::COMMIT;
            facts.extend(known.filter(|it| counts(it.0)).map(|(name, value)| (name.clone(), value.clone())));
        }
        facts::programs(self.cx, step, &inputs.programs, &mut facts);
        let around = self.around.get_or_init(|| facts::around(&self.cx.root));
        facts.extend(around.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(Key::new(&facts))
    }

    /// The files that count: those that the step declares, and the sources of the gate's own binaries where they judge.
    fn files(&self, tree: &Tree, inputs: &Inputs) -> Result<Facts, String> {
        let own = inputs.patterns();
        let gate = Patterns::of(if inputs.gate { GATE } else { &[] });
        let elsewhere = self.cx.home != self.cx.root;
        let counts = |path: &str| {
            own.read(path)
                || (inputs.named_documents && self.named.contains(path))
                || (!elsewhere && gate.read(path))
        };
        let files = tree.files.iter().filter(|(path, _)| counts(path));
        let mut facts = files
            .map(|(path, content)| Ok((format!("file {path}"), known(path, content)?)))
            .collect::<Result<Facts, String>>()?;
        if inputs.gate && elsewhere {
            let Some(home) = &self.home else {
                return Err("no verdict is kept: the tool's own workspace is no git repository".into());
            };
            for (path, content) in home.files.iter().filter(|(path, _)| gate.read(path)) {
                facts.insert(format!("gate {path}"), known(path, content)?);
            }
        }
        Ok(facts)
    }

    fn reason(&self, step: &Step, key: &Key) -> String {
        let Some((_, old)) = store::newest(self.cx, step.name) else { return "no verdict yet".into() };
        let changes = key.since(&old);
        match changes.as_slice() {
            [] => "its verdict was lost".into(),
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
        }
    }

    /// What changed since the last green, a line each; nothing where there is none.
    pub(crate) fn changes(&self, step: &Step, key: &Key) -> Option<(Kept, Vec<String>)> {
        let (kept, old) = store::newest(self.cx, step.name)?;
        let changes = key.since(&old);
        Some((kept, changes))
    }
}

/// Keeps a green verdict, if what it depends on is still what it was before the run; returns why not, if so.
pub(crate) fn keep(cx: &Context, step: &Step, before: &Key, record: &StepRecord) -> Result<(), String> {
    if record.status != Status::Passed {
        return Ok(());
    }
    let after = Verdicts::of(cx, Tree::read(&cx.root)).key(step)?;
    if let Some(change) = after.since(before).first() {
        return Err(format!("the verdict is not kept: {change} during the run"));
    }
    let images = if (step.inputs)(cx).images { images::references(cx) } else { Vec::new() };
    let kept = Kept::new(cx, before, record, images);
    store::keep(cx, step.name, before, &kept).map_err(|error| format!("the verdict is not kept: {error:#}"))
}

fn known(path: &str, content: &Content) -> Result<String, String> {
    match content {
        Content::Known(id) => Ok(id.clone()),
        Content::Opaque(why) => Err(format!("no verdict is kept: `{path}` {why}")),
    }
}

fn hit(cx: &Context, step: &Step, kept: Kept) -> StepRecord {
    let log = cx.target().join("logs").join(format!("{}.log", step.name));
    let findings: Vec<Finding> = kept.findings;
    StepRecord {
        status: Status::Cached,
        saved_ms: kept.duration_ms,
        reason: format!("green on the same inputs, {}", kept.at),
        fingerprint: Some(kept.fingerprint),
        log: if log.is_file() { cx.shown(&log) } else { String::new() },
        findings,
        ..StepRecord::waiting(step)
    }
}
