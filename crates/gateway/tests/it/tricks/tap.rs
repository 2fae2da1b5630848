//! What stands for control, and writes down every byte that reaches it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use service::identity::Verifier;
use service::request_id::RequestId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long bytes may come after a request that is complete, so that they would be noticed.
const SURPLUS_WAIT: Duration = Duration::from_millis(100);

/// The id of what ended before it was complete.
const CUT_OFF: &str = "cut off";

/// Headers that the gateway may send, besides those that say how long the body is.
const HARMLESS: [&str; 10] = [
    "accept",
    "content-type",
    "host",
    "traceparent",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-slipway-identity",
];

/// A listener that takes one request from each connection.
pub(super) struct Tap {
    pub(super) address: SocketAddr,
    /// Per request id what came, a line a request.
    seen: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl Tap {
    pub(super) async fn start(verifier: Verifier) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let seen: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
        let writes = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (writes, verifier) = (writes.clone(), verifier.clone());
                tokio::spawn(async move {
                    if let Some((id, line)) = read_one(stream, address, &verifier).await {
                        writes.lock().expect("nobody panics").entry(id).or_default().push(line);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// What came under this id.
    pub(super) fn saw(&self, id: &str) -> Vec<String> {
        self.seen.lock().expect("nobody panics").remove(id).unwrap_or_default()
    }

    /// How many requests came under ids that the gateway made. What was cut off before it was complete is none.
    pub(super) fn under_new_ids(&self) -> usize {
        let seen = self.seen.lock().expect("nobody panics");
        seen.iter().filter(|(id, _)| *id != CUT_OFF).map(|(_, lines)| lines.len()).sum()
    }
}

async fn read_one(
    mut stream: TcpStream,
    address: SocketAddr,
    verifier: &Verifier,
) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = end_of_request(&bytes) {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return (!bytes.is_empty())
                .then(|| (CUT_OFF.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    };
    if bytes.starts_with(b"GET /health/") {
        answer(&mut stream).await;
        return None;
    }
    let surplus = tokio::time::timeout(SURPLUS_WAIT, stream.read_buf(&mut bytes)).await;
    answer(&mut stream).await;
    let (id, mut line) = describe(&bytes[..end], address, verifier);
    if matches!(surplus, Ok(Ok(more)) if more > 0) || bytes.len() > end {
        line = format!("{line} AND {:?}", String::from_utf8_lossy(&bytes[end..]));
    }
    Some((id, line))
}

async fn answer(stream: &mut TcpStream) {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    stream.write_all(answer).await.ok();
}

/// Where the request ends that the bytes begin with.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding:") {
        // The gateway ends a body with an empty chunk; nothing that tests send looks like one before that.
        return find(&bytes[head..], b"0\r\n\r\n").map(|at| head + at + 5).filter(|_| bytes.len() > head);
    }
    let length = text.split("\r\ncontent-length: ").nth(1).map_or(0, |rest| {
        rest.split("\r\n").next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(usize::MAX)
    });
    (bytes.len() >= head.saturating_add(length)).then(|| head.saturating_add(length))
}

/// The request's id, and its request line with all that is worth a look.
fn describe(bytes: &[u8], address: SocketAddr, verifier: &Verifier) -> (String, String) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.split("\r\n");
    let mut told = vec![lines.next().unwrap_or_default().to_owned()];
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => told.push(format!("UNREADABLE {line:?}")),
        }
    }
    for (name, value) in &headers {
        let value = value.to_str().unwrap_or("?");
        match name.as_str() {
            "content-length" if value == "0" => {}
            "content-length" | "transfer-encoding" => told.push(format!("{name}: {value}")),
            name if !HARMLESS.contains(&name) => told.push(format!("PASSED ON {name}: {value}")),
            _ => {}
        }
    }
    if !body.is_empty() {
        told.push(format!("{body:?}"));
    }
    if headers.get("host").is_none_or(|host| *host != address.to_string()) {
        told.push("WRONG HOST".to_owned());
    }
    let id = RequestId::of(&headers);
    match verifier.read(&headers, &id) {
        Ok(who) if who.subject == "ann" => {}
        other => told.push(format!("WRONG IDENTITY {other:?}")),
    }
    (id.as_str().to_owned(), told.join(" | "))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
