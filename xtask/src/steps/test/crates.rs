//! The tests crate by crate: those of a crate run again when something changed that they may read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use serde::Deserialize;

use super::{Selection, database_inputs, run};
use crate::{
    context::Context,
    outcome::{Outcome, StepResult},
    process::Log,
    steps::STEPS,
    verdict::{
        inputs::Inputs,
        parts::{self, Kept},
    },
};

/// `[package.metadata.tests]` of a crate.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Manifest {
    /// What its tests read of other crates, besides those that it stands on: patterns of paths from the root.
    reads: Vec<String>,
}

/// Runs the tests of the crates whose verdict is open, and keeps what comes out.
pub(super) fn check(cx: &Context, log: &Log, earlier: Kept) -> StepResult {
    let Some(step) = STEPS.iter().find(|it| it.name == "test") else {
        return run(cx, log, &Selection::default());
    };
    let all = inputs(cx)?;
    let count = all.len();
    let open = parts::open(cx, step.name, earlier, all);
    let names: BTreeSet<String> = open.iter().map(|it| it.name.clone()).collect();
    if names.is_empty() {
        log.remark("the tests of every crate hold on the same inputs");
        return Ok(Outcome::Judged(Vec::new()));
    }
    if names.len() < count {
        let shown: Vec<&str> = names.iter().map(String::as_str).collect();
        let rest = count - names.len();
        log.remark(&format!(
            "only the tests of {}; those of {rest} crates hold on the same inputs",
            shown.join(", ")
        ));
    }
    let selection = Selection { crates: (names.len() < count).then_some(names), ..Selection::default() };
    let outcome = run(cx, log, &selection)?;
    if matches!(&outcome, Outcome::Judged(findings) if findings.is_empty()) {
        parts::keep(cx, step, &open);
    }
    Ok(outcome)
}

/// What the tests of each crate may read: the crate, those that it stands on, and all that lies in no crate.
fn inputs(cx: &Context) -> anyhow::Result<BTreeMap<String, Inputs>> {
    let packages = cx.metadata.workspace_packages();
    let folders: BTreeMap<&str, String> =
        packages.iter().filter_map(|it| Some((it.name.as_str(), cx.folder_of(&it.name)?))).collect();
    let mut all = BTreeMap::new();
    for package in &packages {
        let name = package.name.as_str();
        let manifest = package.metadata.get("tests").cloned().map(serde_json::from_value::<Manifest>);
        let manifest = manifest
            .transpose()
            .map_err(|error| anyhow!("`[package.metadata.tests]` of `{name}`: {error}"))?
            .unwrap_or_default();
        let below = cx.crates_below([name]);
        let others = folders.iter().filter(|(other, folder)| !below.contains(**other) && !folder.is_empty());
        let own = below.iter().filter_map(|it| folders.get(it.as_str())).filter(|it| !it.is_empty());
        let inputs = Inputs::of_workspace()
            .and(others.map(|(_, folder)| format!("!{folder}")))
            .and(own.cloned())
            // Manifests decide together which features a dependency is compiled with.
            .and(["**/Cargo.toml".to_owned()])
            .and(manifest.reads);
        all.insert(name.to_owned(), database_inputs(cx, inputs));
    }
    Ok(all)
}
