//! Ports of this machine that a service is to be reached at: whether they are free, and who has them.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use super::file::Service;

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Published {
    /// Where it is listened at; every address of this machine without one.
    pub(super) host: IpAddr,
    /// The port of this machine; podman chooses one without.
    pub(super) port: Option<u16>,
    pub(super) container: u16,
}

impl Published {
    /// The ports of a service; what is no plain TCP port is left to podman.
    pub(super) fn of(service: &Service) -> Vec<Self> {
        service.ports.iter().filter_map(|it| Self::parse(&it.0)).collect()
    }

    /// Where a person of this machine reaches it.
    pub(super) fn url(self) -> Option<String> {
        let host = if self.host.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.host };
        Some(format!("http://{}", SocketAddr::new(host, self.port?)))
    }

    /// Who has the port, if it is taken: a program and its number where they can be found out.
    pub(super) fn taken_by(self) -> Option<String> {
        let address = SocketAddr::new(self.host, self.port?);
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Some(holder(address.port()).unwrap_or_else(|| "a program of another user".into()))
            }
            // Another fault is for podman to tell; a listener that was not there leaves nothing behind.
            _ => None,
        }
    }

    /// `[ADDRESS:][HOST-PORT:]PORT[/tcp]`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix("/tcp").unwrap_or(text);
        let (rest, container) = text.rsplit_once(':').map_or(("", text), |(rest, port)| (rest, port));
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host.trim_matches(['[', ']']).parse().ok()?, port),
            None => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), rest),
        };
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        Some(Self { host, port, container: container.parse().ok()? })
    }
}

/// The process that listens on a port, as `name` (process N).
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|it| fs::read_to_string(it).unwrap_or_default());
    let sockets: Vec<&str> =
        tables.iter().flat_map(|it| it.lines()).filter_map(|it| listening(it, port)).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|it| it.path());
    let numbered =
        |it: &PathBuf| it.file_name().is_some_and(|it| it.to_string_lossy().parse::<u32>().is_ok());
    let process = processes.filter(numbered).find(|it| holds(it, &sockets))?;
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let number = process.file_name()?.to_string_lossy().into_owned();
    Some(format!("`{}` (process {number})", name.trim()))
}

/// The number of the socket that a line of the kernel's table says listens on `port`.
fn listening(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let is = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? == LISTEN;
    is.then(|| fields.get(9).copied()).flatten()
}

fn holds(process: &Path, sockets: &[&str]) -> bool {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    open.filter_map(|it| fs::read_link(it.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        let socket = target.strip_prefix("socket:[").and_then(|it| it.strip_suffix(']'));
        socket.is_some_and(|it| sockets.contains(&it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let Some(port) = Published::parse(text) else { return "left to podman".into() };
        format!("{} {:?} {} {:?}", port.host, port.port, port.container, port.url())
    }

    #[test]
    fn ports_are_read_as_compose_files_write_them() {
        assert_eq!(shown("127.0.0.1:8080:80"), "127.0.0.1 Some(8080) 80 Some(\"http://127.0.0.1:8080\")");
        assert_eq!(shown("8080:80/tcp"), "0.0.0.0 Some(8080) 80 Some(\"http://127.0.0.1:8080\")");
        assert_eq!(shown("[::1]:8080:80"), "::1 Some(8080) 80 Some(\"http://[::1]:8080\")");
        assert_eq!(shown("80"), "0.0.0.0 None 80 None");
        assert_eq!(shown("53:53/udp"), "left to podman");
    }

    #[test]
    fn who_has_a_port_is_found_by_name_and_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let published = Published::parse(&format!("127.0.0.1:{port}:80")).unwrap();
        let told = published.taken_by().unwrap();
        assert!(told.ends_with(&format!("(process {})", std::process::id())), "{told}");
        drop(listener);
        assert_eq!(published.taken_by(), None);
    }
}
