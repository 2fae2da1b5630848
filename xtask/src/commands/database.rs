//! The development database: up, down, its address, and a session in it.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;

use super::{gate::lock, say};
use crate::{
    cli::{DbCommand, Login},
    context::Context,
    dev_database,
    outcome::{EXIT_GREEN, StepError},
    process::Log,
    services::Role,
};

pub(super) fn run(cx: &Context, command: DbCommand) -> anyhow::Result<u8> {
    let lock = lock(cx)?;
    let path = cx.target().join("logs").join("db.log");
    let log = Log::create(&path).with_context(|| format!("cannot write `{}`", cx.shown(&path)))?;
    match command {
        DbCommand::Up => {
            dev_database::up(cx, &log).map_err(StepError::into_error)?.iter().for_each(|line| say(line));
        }
        DbCommand::Down => match dev_database::down(cx, &log).map_err(StepError::into_error)? {
            true => say("removed the development database and its data"),
            false => say("this checkout has no development database"),
        },
        DbCommand::Url { role } => {
            say(&dev_database::url(cx, &log, name(cx, role)).map_err(StepError::into_error)?);
        }
        DbCommand::Psql { role, arguments } => {
            let url = dev_database::url(cx, &log, name(cx, role)).map_err(StepError::into_error)?;
            drop(lock);
            // It takes this process's place, terminal and all; the address holds no password.
            let error = Command::new("psql").arg(url).args(arguments).exec();
            return Err(error).context("cannot run `psql`; try: cargo xtask ci --setup migrations");
        }
        // That one is a step of the gate.
        DbCommand::Prepare => {}
    }
    Ok(EXIT_GREEN)
}

/// What the role is called in the database; the superuser has the address of the server itself.
fn name(cx: &Context, login: Login) -> Option<&str> {
    match login {
        Login::App => Some(cx.config.roles.name(Role::App)),
        Login::Deployer => Some(cx.config.roles.name(Role::Deployer)),
        Login::Owner => Some(cx.config.roles.name(Role::Owner)),
        Login::Admin => None,
    }
}
