//! A proxy before a real registry that does to chosen requests what registries do on bad days.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Pieces a second in which what is slow comes.
const PIECES_PER_S: u32 = 20;
/// Until a registry stored what came of a request that broke off, or a client read what came of an answer.
const A_MOMENT: Duration = Duration::from_millis(150);

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer of the proxy's own: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// So many bytes of the request's body reach the registry, then the connection is closed on both sides.
    CloseUploadAfter(usize),
    /// The request is carried out, and the connection is closed instead of an answer.
    LoseAnswer,
    /// So many bytes of the answer's body arrive, then the connection is closed.
    CloseDownloadAfter(usize),
    /// The answer's body comes a byte at a time, with this pause between two.
    Drip(Duration),
    /// So many bytes a second get through, either way.
    Slow(u32),
    /// The request is carried out after this pause.
    Late(Duration),
    /// The request is taken, and nothing follows.
    Silence,
    /// The answer has another body of the same length.
    Forge,
    /// The registry never hears of ranges.
    ForgetRange,
}

impl Fault {
    /// An answer that is a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }
}

/// Which requests, and how often.
#[derive(Debug)]
struct Rule {
    method: &'static str,
    part: String,
    fault: Fault,
    left: usize,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
    /// The token without which nothing is let in, and the `Authorization` that the issuer wants.
    bearer: Option<(String, String)>,
}

/// The proxy; it ends with the test's process. It takes one request a connection.
#[derive(Debug, Clone)]
pub struct Faulty {
    address: String,
    upstream: String,
    state: Arc<Mutex<State>>,
}

impl Faulty {
    /// A proxy before the registry at this address, without a fault so far.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn before(upstream: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let faulty = Self { address, upstream: upstream.to_owned(), state: Arc::default() };
        let serving = faulty.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let faulty = serving.clone();
                // Whoever goes away in the middle, client or registry, is what these tests are about.
                thread::spawn(move || faulty.serve(client).ok());
            }
        });
        Ok(faulty)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next `times` requests of this method whose path holds `part` meet this fault.
    pub fn on(&self, method: &'static str, part: &str, times: usize, fault: Fault) {
        self.state().rules.push(Rule { method, part: part.to_owned(), fault, left: times });
    }

    /// From now on it is well.
    pub fn recover(&self) {
        self.state().rules.clear();
    }

    /// Lets in only who has a token, which the issuer gives to who has this `Authorization`.
    pub fn ask_for_token(&self, token: &str, authorization: &str) {
        self.state().bearer = Some((token.to_owned(), authorization.to_owned()));
    }

    /// How many requests of this method came whose path holds `part`.
    pub fn seen(&self, method: &str, part: &str) -> usize {
        let begins = format!("{method} ");
        self.state().seen.iter().filter(|it| it.starts_with(&begins) && it.contains(part)).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let head = head_of(&client)?;
        let fault = self.due(head.lines().next().unwrap_or_default());
        if let Some(answer) = self.guard(&head) {
            return say(&mut client, &answer);
        }
        match fault {
            None => self.relay(&head, client),
            Some(Fault::ForgetRange) => self.relay(&without(&head, "range"), client),
            Some(Fault::Answer(status, headers, body)) => say(&mut client, &answer(status, &headers, &body)),
            Some(Fault::CloseUploadAfter(bytes)) => self.cut_upload(&head, &client, bytes),
            Some(Fault::Slow(bytes_per_s)) => self.dawdle(&head, client, bytes_per_s),
            Some(Fault::Late(pause)) => {
                thread::sleep(pause);
                self.relay(&head, client)
            }
            Some(Fault::Silence) => io::copy(&mut client, &mut io::sink()).map(drop),
            Some(fault) => self.garble(&head, client, &fault),
        }
    }

    /// Notes a request, and gives the fault that it meets.
    fn due(&self, line: &str) -> Option<Fault> {
        let line = line.trim_end_matches(" HTTP/1.1");
        let (method, path) = line.split_once(' ').unwrap_or_default();
        let mut state = self.state();
        state.seen.push(line.to_owned());
        let meets = |it: &&mut Rule| it.method == method && path.contains(&it.part) && it.left > 0;
        let rule = state.rules.iter_mut().find(meets)?;
        rule.left -= 1;
        Some(rule.fault.clone())
    }

    /// The issuer of tokens, and the door that asks for them.
    fn guard(&self, head: &str) -> Option<String> {
        let (token, wanted) = self.state().bearer.clone()?;
        let given = header(head, "authorization");
        if head.starts_with("GET /token?") {
            let body = format!(r#"{{"token":"{token}","access_token":"{token}"}}"#);
            let is_known = given == Some(&wanted);
            return Some(if is_known { answer(200, &[], &body) } else { answer(401, &[], "") });
        }
        if given == Some(&format!("Bearer {token}")) {
            return None;
        }
        let asks = format!(
            r#"Bearer realm="http://{}/token",service="it",scope="repository:team/gateway:pull,push""#,
            self.address
        );
        Some(answer(401, &[("www-authenticate", asks)], ""))
    }

    /// Opens the request at the registry, which ends the connection after its answer.
    fn open(&self, head: &str) -> io::Result<TcpStream> {
        let head =
            if self.state().bearer.is_some() { without(head, "authorization") } else { head.to_owned() };
        let mut registry = TcpStream::connect(&self.upstream)?;
        registry.write_all(head.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes())?;
        Ok(registry)
    }

    fn relay(&self, head: &str, mut client: TcpStream) -> io::Result<()> {
        let mut registry = self.open(head)?;
        let (mut from, mut to) = (client.try_clone()?, registry.try_clone()?);
        thread::spawn(move || io::copy(&mut from, &mut to));
        io::copy(&mut registry, &mut client)?;
        client.shutdown(Shutdown::Both)
    }

    /// As a relay, at a pace.
    fn dawdle(&self, head: &str, mut client: TcpStream, bytes_per_s: u32) -> io::Result<()> {
        let mut registry = self.open(head)?;
        let (mut from, mut to) = (client.try_clone()?, registry.try_clone()?);
        thread::spawn(move || trickle(&mut from, &mut to, bytes_per_s));
        trickle(&mut registry, &mut client, bytes_per_s)?;
        client.shutdown(Shutdown::Both)
    }

    /// Says the request's length and sends less, as a client does whose connection breaks.
    fn cut_upload(&self, head: &str, client: &TcpStream, bytes: usize) -> io::Result<()> {
        let length = header(head, "content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        if bytes == 0 {
            return client.shutdown(Shutdown::Both);
        }
        let registry = self.open(head)?;
        io::copy(&mut client.take(bytes.min(length) as u64), &mut &registry)?;
        registry.shutdown(Shutdown::Write)?;
        // The registry stores what came when it sees the end of the connection.
        thread::sleep(A_MOMENT);
        client.shutdown(Shutdown::Both)
    }

    /// Has the request carried out, and does something to the answer.
    fn garble(&self, head: &str, mut client: TcpStream, fault: &Fault) -> io::Result<()> {
        let registry = self.open(head)?;
        let (mut from, mut to) = (client.try_clone()?, registry.try_clone()?);
        thread::spawn(move || io::copy(&mut from, &mut to));
        let told = head_of(&registry)?;
        let mut body = Vec::new();
        (&registry).read_to_end(&mut body)?;
        if !matches!(fault, Fault::LoseAnswer) {
            client.write_all(told.as_bytes())?;
        }
        match fault {
            Fault::CloseDownloadAfter(bytes) => {
                client.write_all(body.get(..*bytes).unwrap_or(&body))?;
                // What was sent before would be dropped with the connection.
                thread::sleep(A_MOMENT);
            }
            Fault::Drip(pause) => {
                for byte in body {
                    thread::sleep(*pause);
                    client.write_all(&[byte])?;
                }
            }
            Fault::Forge => client.write_all(&vec![b' '; body.len()])?,
            _ => {}
        }
        client.shutdown(Shutdown::Both)
    }
}

/// Reads up to the empty line that ends a head.
pub(crate) fn head_of(mut stream: &TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// A header's value.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|it| it.split_once(':'));
    lines.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A head without a header.
fn without(head: &str, name: &str) -> String {
    let is_it = |line: &&str| line.split_once(':').is_some_and(|(it, _)| it.eq_ignore_ascii_case(name));
    head.split_inclusive("\r\n").filter(|it| !is_it(it)).collect()
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &str) -> String {
    let mut answer =
        format!("HTTP/1.1 {status} It\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        // Text takes all that is written into it.
        write!(answer, "{name}: {value}\r\n").ok();
    }
    answer + "\r\n" + body
}

/// Answers, and takes what is still sent: a connection that is closed with it unread loses the answer.
fn say(client: &mut TcpStream, answer: &str) -> io::Result<()> {
    client.write_all(answer.as_bytes())?;
    client.shutdown(Shutdown::Write)?;
    io::copy(client, &mut io::sink()).map(drop)
}

/// Copies to the end, so many bytes a second.
fn trickle(from: &mut impl Read, to: &mut impl Write, bytes_per_s: u32) -> io::Result<()> {
    let mut piece = vec![0; (bytes_per_s / PIECES_PER_S).max(1) as usize];
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&piece[..count])?;
        thread::sleep(Duration::from_secs(1) / PIECES_PER_S);
    }
}
