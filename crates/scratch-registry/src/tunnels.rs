//! The proxy of a closed network: every `CONNECT` leads to one address.

use std::{
    io::{self, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::faulty::head_of;

/// A proxy that takes every `CONNECT` to one address, and knows what it was asked; it ends with the test's process.
#[derive(Debug)]
pub struct Tunnels {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    /// The proxy on the way to this address.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn to(upstream: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, upstream) = (listener.local_addr()?.to_string(), upstream.to_owned());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that went away wants nothing any more.
                dig(client, &upstream, &noted).ok();
            }
        });
        Ok(Self { address, asked })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The heads of the requests so far, in lower case.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn dig(client: TcpStream, upstream: &str, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = head_of(&client)?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(head.to_lowercase());
    let server = TcpStream::connect(upstream)?;
    (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || {
            io::copy(&mut from, &mut to).ok();
            to.shutdown(Shutdown::Write).ok();
        });
    }
    Ok(())
}
