//! The wire between a service and Postgres: it can lag, hold everything back, or lose its connections without a word.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a server's socket is called in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As if it were not there.
    Flows,
    /// Everything takes so long each way.
    Lags(Duration),
    /// What is sent stays on the way, and arrives when it flows again.
    Holds,
    /// What was connected before is dead for ever, and nobody is told; whoever connects now is served.
    Lost,
}

/// A wire; whatever goes through it ends with it.
pub(crate) struct Wire {
    state: watch::Sender<(State, u32)>,
    _folder: TempDir,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// A wire to the server that a URL names, and the URL that leads through it.
    pub(crate) fn to(url: &str) -> (Self, String) {
        let (before, socket) = url.split_once("host=").unwrap();
        let socket = socket.split('&').next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let through = format!("{before}host={}", escaped(folder.path()));
        let server: Arc<str> = format!("{}/{SOCKET}", socket.replace("%2F", "/")).into();
        let (state, seen) = watch::channel((State::Flows, 0));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, seen) = (Arc::clone(&server), seen.clone());
                let born = seen.borrow().1;
                tokio::spawn(async move {
                    // Postgres may be away; then this connection ends as it would there.
                    let Ok(server) = UnixStream::connect(&*server).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = carry(from_client, to_server, seen.clone(), born) => {}
                        () = carry(from_server, to_client, seen, born) => {}
                    }
                });
            }
        });
        (Self { state, _folder: folder, accepting }, through)
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_modify(|(now, lost)| {
            *lost += u32::from(state == State::Lost);
            *now = state;
        });
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries bytes one way, as the wire allows.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<(State, u32)>,
    born: u32,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        let (state, _) = *seen.borrow();
        if let State::Lags(time) = state {
            tokio::time::sleep(time).await;
        }
        // The sender lives as long as the wire; one that has lost this connection never lets it go on.
        let passes = seen.wait_for(|(state, lost)| *state != State::Holds && *lost == born);
        if passes.await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

fn escaped(path: &Path) -> String {
    path.to_str().unwrap().replace('/', "%2F")
}
