//! What people send to make two servers read one request differently: each is refused, or reaches control in one
//! reading only. The table sends bytes as they stand; a tap in control's place writes down the bytes that arrive.

mod cases;
mod tap;

use std::net::SocketAddr;
use std::time::Duration;

use service::identity::Verifier;
use service::testing::TestGateway;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::gateway;
use crate::tokens::{Key, KeysFile, claims, text};
use cases::Case;
use tap::Tap;

/// How long a client waits for more.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends every case and tells, a line each, how the client was answered and what control saw.
async fn told(cases: &[Case]) -> String {
    let identity = TestGateway::before("control");
    let tap = Tap::start(Verifier::new(identity.keys(), "control")).await;
    let key = Key::hs256("main");
    let keys = KeysFile::of(&[&key]);
    let many = "100000";
    let gateway = gateway()
        .env("CONTROL_URL", &format!("http://{}", tap.address))
        .env("IDENTITY_KEY", identity.key())
        .env("TOKEN_KEYS_FILE", text(&keys.path()))
        .env("RATE_LIMIT_PER_MINUTE", many)
        .env("RATE_LIMIT_ANONYMOUS_PER_MINUTE", many)
        .env("RATE_LIMIT_FAILED_PER_MINUTE", many)
        // What waits for the rest of a request gives up soon.
        .env("REQUEST_HEAD_TIMEOUT_S", "1")
        .env("REQUEST_BODY_TIMEOUT_S", "1")
        .start()
        .await;
    let token = key.signs(&claims("ann", "operator"));

    let mut sending = JoinSet::new();
    for (number, case) in cases.iter().enumerate() {
        let who = format!("authorization: Bearer {token}\r\nx-request-id: case-{number}");
        let bytes = case.bytes(&who, gateway.address());
        let address = gateway.address();
        sending.spawn(async move { (number, exchange(address, &bytes).await) });
    }
    let mut answers = vec![String::new(); cases.len()];
    while let Some(sent) = sending.join_next().await {
        let (number, statuses) = sent.expect("sending does not panic");
        answers[number] = statuses;
    }
    let mut lines = Vec::new();
    for (number, (case, statuses)) in cases.iter().zip(answers).enumerate() {
        let saw = tap.saw(&format!("case-{number}"));
        let saw = if saw.is_empty() { "nothing".to_owned() } else { saw.join(" ; ") };
        lines.push(format!("{}: {statuses} <- {saw}", case.name));
    }
    lines.push(format!("under ids that the gateway made, control saw {}", tap.under_new_ids()));
    // It has survived all that.
    assert_eq!(gateway.get("/health/live").await.status, 200);
    lines.join("\n")
}

/// The status of every answer that comes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut answer = Vec::new();
    // A request that is refused early may not be read to its end.
    let sent = stream.write_all(bytes).await;
    while let Ok(Ok(1..)) = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await {}
    let text = String::from_utf8_lossy(&answer);
    let statuses: Vec<&str> =
        text.split("HTTP/1.").skip(1).map(|rest| rest.get(2..5).unwrap_or("?")).collect();
    match (statuses.is_empty(), sent) {
        (true, Ok(())) => "closed".to_owned(),
        (true, Err(_)) => "reset".to_owned(),
        (false, _) => statuses.join(", "),
    }
}

#[tokio::test]
async fn how_long_a_body_is_can_be_read_in_one_way_only() {
    insta::assert_snapshot!(told(&cases::framing()).await, @r#"
    a length: 200 <- POST /v1/releases HTTP/1.1 | content-length: 4 | "abcd"
    chunks: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    a length, then chunks: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "0\r\n\r\n"
    chunks, then a length: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "0\r\n\r\n"
    two lengths that differ: 400 <- nothing
    two lengths that agree: 200 <- POST /v1/releases HTTP/1.1 | content-length: 4 | "abcd"
    a list of lengths: 400 <- nothing
    a list of lengths that differ: 400 <- nothing
    a length with a sign: 400 <- nothing
    a negative length: 400 <- nothing
    a length in hex: 400 <- nothing
    a length with a point: 400 <- nothing
    no length: 400 <- nothing
    a length beyond all numbers: 400 <- nothing
    a length with an underscore in its name: 200, 401 <- POST /v1/releases HTTP/1.1
    a space before the colon: 400 <- nothing
    a space before the colon of chunks: 400 <- nothing
    a tab before the colon: 400 <- nothing
    a folded line: 400 <- nothing
    chunks on a folded line: 400 <- nothing
    another coding: 400 <- nothing
    chunks and then another coding: 400 <- nothing
    another coding and then chunks: 400 <- nothing
    chunks twice: 400, 401 <- nothing
    chunks, and a second line with nonsense: 400 <- nothing
    a misspelt coding: 400 <- nothing
    a quoted coding: 400 <- nothing
    a coding after a vertical tab: 400 <- nothing
    a coding in capitals: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    chunks in HTTP/1.0: 400 <- nothing
    a GET with a body that looks like a request: 200 <- GET /v1/releases HTTP/1.1 | content-length: 36 | "GET /v1/tokens HTTP/1.1\r\nhost: x\r\n\r\n"
    two requests at once are two: 200, 200 <- GET /v1/releases HTTP/1.1 ; GET /v1/environments HTTP/1.1
    a body that is cut short by another request: 200, 405 <- POST /v1/releases HTTP/1.1 | content-length: 4 | "abGE"
    under ids that the gateway made, control saw 0
    "#);
}

#[tokio::test]
async fn chunks_and_what_follows_them_are_read_strictly() {
    insta::assert_snapshot!(told(&cases::chunks()).await, @r#"
    an extension: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    an extension with a bare line feed: 400 <- nothing
    an extension that never ends: 400 <- nothing
    a size in hex with a prefix: 400 <- nothing
    a size with a sign: 400 <- nothing
    a size beyond all numbers: 400 <- nothing
    no size: 400 <- nothing
    a size that ends in a bare line feed: 400 <- nothing
    a chunk longer than it says: 400 <- nothing
    a chunk that ends in a bare line feed: 400 <- nothing
    a chunk shorter than it says: 400 <- nothing
    a size with letters after it: 400 <- nothing
    identity in a trailer: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    identity in a trailer that is announced: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    a length in a trailer: 200 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    a request after the last chunk: 200, 401 <- POST /v1/releases HTTP/1.1 | transfer-encoding: chunked | "4\r\nabcd\r\n0\r\n\r\n"
    under ids that the gateway made, control saw 0
    "#);
}

#[tokio::test]
async fn a_path_reaches_control_as_it_was_judged_or_not_at_all() {
    insta::assert_snapshot!(told(&cases::paths()).await, @"
    as it is: 200 <- GET /v1/releases/1.4.0 HTTP/1.1
    two slashes: 400 <- nothing
    two slashes at the start: 400 <- nothing
    a slash at the end: 400 <- nothing
    up: 400 <- nothing
    up, encoded: 400 <- nothing
    up, half encoded: 400 <- nothing
    up, encoded twice: 400 <- nothing
    up, with a parameter: 404 <- nothing
    here: 400 <- nothing
    an encoded slash: 400 <- nothing
    an encoded letter: 400 <- nothing
    an encoded NUL: 400 <- nothing
    a NUL: 400 <- nothing
    an encoded line end: 400 <- nothing
    a percent sign: 400 <- nothing
    a backslash: 400 <- nothing
    a tab: 400 <- nothing
    a letter beyond ASCII: 400 <- nothing
    other letters: 404 <- nothing
    a fragment: 200 <- GET /v1/releases HTTP/1.1
    the inner API: 404 <- nothing
    the inner API by a way around: 400 <- nothing
    a query with a second question mark: 200 <- GET /v1/releases?a=b?c HTTP/1.1
    a query with a space: 200 <- GET /v1/releases?a= HTTP/1.1
    a whole URL: 200 <- GET /v1/releases HTTP/1.1
    a whole URL of another host: 400 <- nothing
    a whole URL with a user: 400 <- nothing
    a whole URL of another scheme: 400 <- nothing
    a whole URL without a path: 404 <- nothing
    an authority: 404 <- nothing
    an asterisk: 404 <- nothing
    no slash: 400 <- nothing
    nothing: 400 <- nothing
    long: 414 <- nothing
    endless: 431 <- nothing
    under ids that the gateway made, control saw 0
    ");
}

#[tokio::test]
async fn no_header_of_a_client_says_who_it_is_or_what_it_asks_for() {
    insta::assert_snapshot!(told(&cases::headers()).await, @"
    identity: 200 <- GET /v1/releases HTTP/1.1
    identity in capitals: 200 <- GET /v1/releases HTTP/1.1
    identity twice: 200 <- GET /v1/releases HTTP/1.1
    identity with underscores: 200 <- GET /v1/releases HTTP/1.1
    another of the family: 200 <- GET /v1/releases HTTP/1.1
    identity with a space before the colon: 400 <- nothing
    identity after a bare carriage return: 400 <- nothing
    identity after a bare line feed: 200 <- GET /v1/releases HTTP/1.1
    identity after a NUL: 400 <- nothing
    identity in a name with a NUL: 400 <- nothing
    identity named in connection: 200 <- GET /v1/releases HTTP/1.1
    identity named in connection, and sent: 200 <- GET /v1/releases HTTP/1.1
    what the gateway adds named in connection: 200 <- GET /v1/releases HTTP/1.1
    another method: 400 <- nothing
    another method, otherwise spelt: 400 <- nothing
    another method, the third way: 400 <- nothing
    another path: 400 <- nothing
    another path, otherwise spelt: 400 <- nothing
    a second authorization: 400 <- nothing
    cookies and proxies: 200 <- GET /v1/releases HTTP/1.1
    where it comes from: 200 <- GET /v1/releases HTTP/1.1
    two request ids: 200 <- nothing
    another protocol: 200 <- GET /v1/releases HTTP/1.1
    HTTP/2 in the clear: 200 <- GET /v1/releases HTTP/1.1
    a hundred headers too many: 431 <- nothing
    a header without end: 431 <- nothing
    a line without a colon: 400 <- nothing
    an empty name: 400 <- nothing
    a name beyond ASCII: 400 <- nothing
    under ids that the gateway made, control saw 1
    ");
}

#[tokio::test]
async fn what_is_no_request_for_one_host_is_refused() {
    insta::assert_snapshot!(told(&cases::requests()).await, @"
    one host: 200 <- GET /v1/releases HTTP/1.1
    no host: 400 <- nothing
    two hosts: 400 <- nothing
    the same host twice: 400 <- nothing
    an empty host: 400 <- nothing
    a host with a path: 400 <- nothing
    a host with a user: 400 <- nothing
    a list of hosts: 400 <- nothing
    a host before the request: 400 <- nothing
    HTTP/1.0 without a host: 200 <- GET /v1/releases HTTP/1.1
    HTTP/0.9: 400 <- nothing
    HTTP/1.2: 400 <- nothing
    HTTP/2.0: 400 <- nothing
    a version in small letters: 400 <- nothing
    a method in small letters: 405 <- nothing
    a method that is none: 400 <- nothing
    two spaces: 400 <- nothing
    a tab instead of a space: 400 <- nothing
    TRACE: 405 <- nothing
    OPTIONS of everything: 404 <- nothing
    CONNECT: 404 <- nothing
    HEAD: 200 <- HEAD /v1/releases HTTP/1.1
    bare line feeds: 200 <- GET /v1/releases HTTP/1.1
    an empty line before: 200 <- GET /v1/releases HTTP/1.1
    the preface of HTTP/2: closed <- nothing
    a greeting of TLS: 400 <- nothing
    nothing but line ends: closed <- nothing
    under ids that the gateway made, control saw 0
    ");
}
