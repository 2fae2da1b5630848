//! The `healthcheck` subcommand: asks the service on this host whether it is ready, without a shell or curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::health;

/// Longer than the readiness checks may take by default, shorter than container engines wait.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Much longer than any answer about readiness.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks; `Err` holds the one-line reason.
pub(crate) fn ask(listen: SocketAddr) -> Result<(), String> {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    let address = SocketAddr::new(ip, listen.port());
    let answer = exchange(address).map_err(|error| format!("no answer from `{address}`: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => Err(format!("`{address}` is not ready: {status} {}", body.trim())),
        None => Err(format!("`{address}` does not speak HTTP")),
    }
}

fn exchange(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n", health::READY)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
