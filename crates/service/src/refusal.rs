//! Refusals below any handler: of connections beyond the limit, and of what is no request at all.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::problem::{MEDIA_TYPE, Problem};
use crate::request_id::RequestId;

/// How long a client that is turned away may take to read why.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// What a client that is turned away may still send before its connection is closed all the same.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;

/// The longest head that the HTTP library writes by itself.
const LIBRARY_BYTES_MAX: usize = 512;

/// Says that there are too many connections, and closes this one.
pub(crate) async fn turn_away(mut stream: TcpStream) {
    let message = "the service has as many connections as it takes, try again later";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", message);
    let farewell = async {
        stream.write_all(&answer(&problem, "retry-after: 1\r\n")).await?;
        stream.shutdown().await?;
        // Closed with something unread, the client would see a broken connection instead of the answer.
        tokio::io::copy(&mut (&mut stream).take(UNREAD_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whoever does not listen has gone, or is cut off.
    drop(tokio::time::timeout(FAREWELL_MAX, farewell).await);
}

/// What the HTTP library says by itself about what is no request, as an answer of ours: reason, and the whole answer.
///
/// `None` where the bytes are something else. The caller knows that no answer to a request is being written.
pub(crate) fn instead_of(written: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    if written.len() > LIBRARY_BYTES_MAX || !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(written).ok()?;
    // An answer of the service always has it.
    if head.to_ascii_lowercase().contains("\r\nx-request-id:") {
        return None;
    }
    let (status, code, message) = match head.strip_prefix("HTTP/1.1 ")?.get(..3)? {
        "400" => (StatusCode::BAD_REQUEST, "malformed_request", "what was sent is no HTTP request"),
        "414" => (StatusCode::URI_TOO_LONG, "uri_too_long", "the request's target is too long"),
        "431" => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            "the request has too many headers, or too large ones",
        ),
        _ => return None,
    };
    let reason = if status == StatusCode::BAD_REQUEST { "malformed" } else { "too_large" };
    Some((reason, answer(&Problem::new(status, code, message), "")))
}

/// A whole answer, as it goes over the wire. Nobody could read an id, so it has one of its own, as the log line has.
fn answer(problem: &Problem, more_headers: &str) -> Vec<u8> {
    let id = RequestId::new();
    let body = problem.body(&id);
    let status = problem.status;
    tracing::info!(request_id = id.as_str(), status = status.as_u16(), code = problem.code, "refused");
    let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let (id, length) = (id.as_str(), body.len());
    format!(
        "HTTP/1.1 {code} {reason}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\nx-request-id: {id}\r\n\
         {more_headers}connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
