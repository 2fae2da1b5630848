//! The way from containers to the run's scratch database: a loopback port that can be cut and mended.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How often a relay that waits looks whether it shall end.
const POLL: Duration = Duration::from_millis(20);
const DEFAULT_PORT: u16 = 5432;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Server {
    Socket(PathBuf),
    Tcp(String, u16),
}

/// Forwards a loopback port to a server, as long as it is not cut. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Listens on a free port and forwards to the server of a database's address.
    ///
    /// # Errors
    /// When no port can be opened.
    pub(super) fn start(url: &str) -> io::Result<Self> {
        let server = Server::of(url);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &server, &shared));
        Ok(Self { port, state })
    }

    /// Ends every connection and refuses new ones, as a database that is gone does.
    pub(super) fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        self.state.close();
    }

    /// Lets connections through again.
    pub(super) fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.close();
    }
}

impl State {
    fn close(&self) {
        if let Ok(mut open) = self.open.lock() {
            for stream in open.drain(..) {
                stream.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

impl Server {
    /// From `postgres://user:password@host:port/database?host=/folder/of/the/socket`.
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.split('/').next().unwrap_or(rest);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(DEFAULT_PORT)),
            _ => (authority, DEFAULT_PORT),
        };
        let of_query = |name: &str| {
            let pairs = query.split('&').filter_map(|it| it.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next_back()
        };
        let host = of_query("host").unwrap_or_else(|| decoded(host));
        let port = of_query("port").and_then(|it| it.parse().ok()).unwrap_or(port);
        if host.starts_with('/') {
            return Self::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}")));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Self::Tcp(if host.is_empty() { "127.0.0.1".into() } else { host.into() }, port)
    }
}

fn accept(listener: &TcpListener, server: &Server, state: &Arc<State>) {
    while !state.ended.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((client, _)) if state.cut.load(Ordering::SeqCst) => {
                client.shutdown(Shutdown::Both).ok();
            }
            // A server that is gone closes the client's connection; that is what the client then sees.
            Ok((client, _)) => drop(connect(&client, server, state)),
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn connect(client: &TcpStream, server: &Server, state: &State) -> io::Result<()> {
    client.set_nonblocking(false)?;
    if let Ok(mut open) = state.open.lock() {
        open.push(client.try_clone()?);
    }
    match server {
        Server::Socket(path) => {
            let server = UnixStream::connect(path)?;
            let (reader, writer) = (server.try_clone()?, server);
            pump(reader, client.try_clone()?, client.try_clone()?);
            pump(client.try_clone()?, writer.try_clone()?, Ender(writer));
        }
        Server::Tcp(host, port) => {
            let server = TcpStream::connect((host.as_str(), *port))?;
            let (reader, writer) = (server.try_clone()?, server);
            pump(reader, client.try_clone()?, client.try_clone()?);
            pump(client.try_clone()?, writer.try_clone()?, writer);
        }
    }
    Ok(())
}

/// What can be told that nothing more will come.
trait End: Send + 'static {
    fn end(&self);
}

struct Ender(UnixStream);

impl End for Ender {
    fn end(&self) {
        self.0.shutdown(Shutdown::Both).ok();
    }
}

impl End for TcpStream {
    fn end(&self) {
        self.shutdown(Shutdown::Both).ok();
    }
}

fn pump(mut from: impl io::Read + Send + 'static, mut to: impl io::Write + Send + 'static, end: impl End) {
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        end.end();
    });
}

/// `%2F` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        match hex.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_servers_place_is_read_from_every_form_of_address() {
        let socket = |path: &str| Server::Socket(path.into());
        assert_eq!(
            Server::of("postgres://postgres@localhost/postgres?host=%2Ftmp%2Fpg"),
            socket("/tmp/pg/.s.PGSQL.5432")
        );
        assert_eq!(Server::of("postgres://u@/d?host=/run/x&port=7"), socket("/run/x/.s.PGSQL.7"));
        assert_eq!(Server::of("postgres://u@%2Frun%2Fx:7/d"), socket("/run/x/.s.PGSQL.7"));
        assert_eq!(
            Server::of("postgresql://u:p%40@db.acme:6432/d?sslmode=require"),
            Server::Tcp("db.acme".into(), 6432)
        );
        assert_eq!(Server::of("postgres://u@[::1]/d"), Server::Tcp("::1".into(), 5432));
    }

    #[test]
    fn a_cut_relay_ends_connections_and_a_mended_one_lets_them_through() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in server.incoming().flatten() {
                let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
                thread::spawn(move || io::copy(&mut reader, &mut writer));
            }
        });
        let relay = Relay::start(&format!("postgres://u@127.0.0.1:{port}/d")).unwrap();
        let echoed = |stream: &mut TcpStream| {
            let mut buffer = [0; 4];
            stream
                .write_all(b"ping")
                .and_then(|()| stream.read_exact(&mut buffer))
                .is_ok_and(|()| &buffer == b"ping")
        };
        let open = || TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).unwrap();
        let mut first = open();
        assert!(echoed(&mut first));
        relay.cut();
        assert!(!echoed(&mut first) && !echoed(&mut open()));
        relay.mend();
        assert!(echoed(&mut open()));
    }
}
