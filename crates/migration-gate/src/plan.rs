//! What production has run and what it would run next, as far as the tree can tell.

use crate::{
    files::MigrationFile,
    ledger::AppliedBy,
    project::{Project, Slot},
};

/// Steps that can be executed, and why not more of them.
#[derive(Debug)]
pub(crate) struct Plan<'p> {
    /// The ledger's entries in the order in which production applied them.
    pub(crate) applied: Vec<Step<'p>>,
    /// What the ledger does not list, in the order of sqlx.
    pub(crate) pending: Vec<Step<'p>>,
    /// Pending migrations that cannot be run, and why.
    pub(crate) left_out: Option<LeftOut>,
}

/// One migration and who runs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'p> {
    pub(crate) up: &'p MigrationFile,
    pub(crate) down: Option<&'p MigrationFile>,
    pub(crate) role: AppliedBy,
}

/// Why the plan ends early.
#[derive(Debug)]
pub(crate) struct LeftOut {
    /// File names.
    pub(crate) files: Vec<String>,
    pub(crate) because: String,
}

impl<'p> Plan<'p> {
    pub(crate) fn of(project: &'p Project) -> Self {
        let slots = project.slots();
        let mut plan = Self { applied: Vec::new(), pending: Vec::new(), left_out: None };
        if let Some(because) = obstacle(project, &slots) {
            plan.leave_out(pending(&slots), because);
            return plan;
        }
        for entry in &project.ledger.entries {
            let slot = slots.iter().find(|slot| slot.version == entry.version);
            if let Some((slot, up)) = slot.and_then(|slot| Some((slot, slot.holder()?))) {
                plan.applied.push(Step { up, down: slot.down(), role: entry.role });
            }
        }
        let pending = pending(&slots);
        for (index, slot) in pending.iter().enumerate() {
            match slot.ups[..] {
                [up] if broken(up).is_none() => {
                    plan.pending.push(Step { up, down: slot.down(), role: AppliedBy::Deployer });
                }
                [up] => {
                    plan.leave_out(pending[index..].to_vec(), format!("`{}` cannot be sent", up.file_name()));
                    break;
                }
                _ => {
                    let because = format!("{} migrations share number {}", slot.ups.len(), slot.version);
                    plan.leave_out(pending[index..].to_vec(), because);
                    break;
                }
            }
        }
        plan
    }

    fn leave_out(&mut self, slots: Vec<&Slot<'p>>, because: String) {
        let files = slots.iter().flat_map(|slot| &slot.ups).map(|up| up.file_name()).collect();
        self.left_out = Some(LeftOut { files, because });
    }
}

/// Why the file cannot be sent as sqlx sends it; the check of bytes says the same to the user.
pub(crate) fn broken(file: &MigrationFile) -> Option<&'static str> {
    if file.bytes.starts_with(b"\xef\xbb\xbf") {
        Some("begins with a byte order mark")
    } else if file.bytes.contains(&0) {
        Some("holds a NUL byte")
    } else if file.sql().is_none() {
        Some("is not UTF-8")
    } else {
        None
    }
}

/// What makes the schema of production impossible to build.
fn obstacle(project: &Project, slots: &[Slot<'_>]) -> Option<String> {
    use crate::files::StrayReason;

    let strays = &project.directory.strays;
    if let Some(stray) = strays.iter().find(|it| it.reason == StrayReason::NotANumber) {
        return Some(format!("sqlx refuses the whole directory because of `{}`", stray.path));
    }
    if let Some(file) = project.directory.files.iter().find(|it| it.sql().is_none()) {
        return Some(format!("sqlx refuses the whole directory because `{}` is not UTF-8", file.path));
    }
    let gone: Vec<String> = slots
        .iter()
        .filter(|slot| slot.applied.is_some() && slot.holder().is_none() && !slot.is_given_up())
        .map(|slot| slot.version.to_string())
        .collect();
    (!gone.is_empty())
        .then(|| format!("the tree does not hold what production applied as {}", gone.join(", ")))
}

fn pending<'s, 'p>(slots: &'s [Slot<'p>]) -> Vec<&'s Slot<'p>> {
    slots.iter().filter(|slot| slot.applied.is_none() && !slot.ups.is_empty()).collect()
}
