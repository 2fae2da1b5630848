//! A proxy before a registry that fails as registries fail.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What happens to a request whose first line holds the text.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is answered with this, that many times.
    Answers(&'static str, u32),
    /// The connection ends in the middle of the body, that many times.
    Closes(u32),
}

/// Faults by a part of a request's first line.
type Faults = Arc<Mutex<Vec<(&'static str, Fault)>>>;

/// The proxy; it ends with the test's process.
pub(crate) struct Proxy {
    pub(crate) address: String,
    faults: Faults,
}

impl Proxy {
    pub(crate) fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let faults = Faults::default();
        let (behind, known) = (registry.to_owned(), Arc::clone(&faults));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behind, known) = (behind.clone(), Arc::clone(&known));
                thread::spawn(move || serve(stream, &behind, &known));
            }
        });
        Self { address, faults }
    }

    /// From now on, only these.
    pub(crate) fn fails(&self, faults: &[(&'static str, Fault)]) {
        *self.faults.lock().unwrap() = faults.to_vec();
    }
}

/// One request a connection: the registry is told to end it.
fn serve(mut client: TcpStream, behind: &str, faults: &Faults) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next()?.to_owned();
    match due(&line, faults) {
        Some(Fault::Answers(answer, _)) => {
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            client.write_all(answer.as_bytes()).ok()?;
            client.shutdown(Shutdown::Write).ok()?;
            std::io::copy(&mut client, &mut std::io::sink()).ok();
            return Some(());
        }
        Some(Fault::Closes(_)) => {
            client.read_exact(&mut [0; 64]).ok();
            client.shutdown(Shutdown::Both).ok();
            return None;
        }
        None => {}
    }
    let mut registry = TcpStream::connect(behind).ok()?;
    let head = text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    registry.write_all(head.as_bytes()).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, registry.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut registry, &mut client).ok();
    client.shutdown(Shutdown::Both).ok()
}

/// The fault that a request meets, counted.
fn due(line: &str, faults: &Faults) -> Option<Fault> {
    let mut faults = faults.lock().ok()?;
    let (_, fault) = faults.iter_mut().find(|(part, _)| part.split('*').all(|it| line.contains(it)))?;
    match fault {
        Fault::Answers(_, 0) | Fault::Closes(0) => None,
        Fault::Answers(_, left) | Fault::Closes(left) => {
            *left -= 1;
            Some(fault.clone())
        }
    }
}
