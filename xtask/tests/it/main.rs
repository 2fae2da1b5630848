//! Conversations with the built `cargo xtask`, on a copy of this workspace and on workspaces of its own.
//!
//! `project`: the folders that the tests talk about. `usage`: what is typed wrong. `steps`: every step goes red for its
//! own reason, `secrets` among them. `workflows`: what Gitea runs. `hooks`: what git runs. `runs`: reports, interrupts and two runs at once. `compose`: the stack of a compose file. `dev_database`: the one that stays. `custom`: steps of a workspace's own. `foreign`: other people's workspaces.
//! `alerts`: when somebody is told. `dashboards`: what they look at then. `observability`: the stack that shows it.
//! `terminal`: what a person sees on a `screen`, and what a pipe gets. `reports`: what a run leaves for later.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod compose;
mod custom;
mod dashboards;
mod dev_database;
mod foreign;
mod hooks;
mod migrations;
mod observability;
mod project;
mod reports;
mod runs;
mod screen;
mod secrets;
mod steps;
mod terminal;
mod usage;
mod verdicts;
mod workflows;
