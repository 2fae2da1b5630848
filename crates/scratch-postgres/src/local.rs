//! The local provider: the host's own server binaries, a private directory, a unix socket and nothing else.

mod binaries;
mod data;
pub(crate) mod directory;
pub(crate) mod lasting;
mod postmaster;
mod user;

use crate::{
    address::Address,
    error::Lack,
    holder::{Action, Holder, Task},
    local::{
        binaries::Binaries, data::DataSource, directory::Private, postmaster::Postmaster, user::Launcher,
    },
    options::{Options, Provider},
};

/// Starts a server, held by a thread of its own.
pub(crate) async fn start(options: &Options) -> Result<(Holder, Address), Lack> {
    let options = options.clone();
    Holder::start(Provider::Local, move |task| hold(&options, task)).await
}

/// The life of a server: everything that this function made is gone when it returns.
fn hold(options: &Options, task: Task) {
    let Launched { binaries, launcher, private, postmaster } = match launch(options) {
        Ok(launched) => launched,
        Err(lack) => return task.fail(lack),
    };
    // After the start, so that nobody waits for it: what killed runs left.
    let (directories, cache) = (options.directories.clone(), options.cache.clone());
    let reaper = std::thread::spawn(move || {
        directory::reap(&directories);
        cache.iter().for_each(|cache| data::reap(cache));
    });
    // The socket's name holds the port, also where nothing else does.
    let port = options.tls.as_ref().map(|it| it.port);
    let mut running = Some(postmaster);
    task.serve(Address::of_socket(&private.socket(), port), |action| {
        match action {
            Action::Halt(how) => running = running.take().and_then(|it| it.halt(how)),
            // One that was asked to end when its clients have gone is not waited for.
            Action::Resume => {
                drop(running.take());
                running = Some(Postmaster::start(&binaries, &launcher, &private)?);
            }
        }
        Ok(())
    });
    drop(running);
    drop(private);
    drop(reaper.join());
}

/// A server, and what it takes to start it again.
struct Launched {
    binaries: Binaries,
    launcher: Launcher,
    private: Private,
    postmaster: Postmaster,
}

fn launch(options: &Options) -> Result<Launched, Lack> {
    let binaries = Binaries::find(options)?;
    let launcher = Launcher::find(&options.search_path)?;
    let private = Private::create(&options.directories, launcher.user())?;
    let source = data::provide(&binaries, &launcher, options.cache.as_deref(), &private)?;
    if let Some(tls) = &options.tls {
        data::encrypt(&private, launcher.user(), tls)?;
    }
    let postmaster = match Postmaster::start(&binaries, &launcher, &private) {
        Ok(postmaster) => postmaster,
        Err(_) if source == DataSource::Cache && options.tls.is_none() => {
            // A copy that does not start is a broken original.
            options.cache.iter().for_each(|cache| data::forget(cache, &binaries));
            data::clear(&private)?;
            data::provide(&binaries, &launcher, options.cache.as_deref(), &private)?;
            Postmaster::start(&binaries, &launcher, &private)?
        }
        Err(lack) => return Err(lack),
    };
    Ok(Launched { binaries, launcher, private, postmaster })
}

/// A reason of this provider's.
fn lack(reason: impl Into<String>, fix: impl Into<String>) -> Lack {
    Lack::new(Provider::Local, reason, fix)
}
