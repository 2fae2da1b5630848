//! The table of tricks.

use std::net::SocketAddr;

/// A trick, by name. In its bytes `{who}` stands for a valid token and the id by which control's tap knows it,
/// `{self}` for the gateway's address.
pub(super) struct Case {
    pub(super) name: &'static str,
    bytes: String,
}

impl Case {
    pub(super) fn bytes(&self, who: &str, gateway: SocketAddr) -> Vec<u8> {
        // Some tricks are bytes that are no text: Latin-1 has one character for each.
        let text = self.bytes.replace("{who}", who).replace("{self}", &gateway.to_string());
        text.chars().map(|it| u8::try_from(u32::from(it)).expect("cases are Latin-1")).collect()
    }
}

/// What a body could hold so that it is taken for a request.
const SMUGGLED: &str = "GET /v1/tokens HTTP/1.1\r\nhost: x\r\n\r\n";

/// A case whose bytes are given whole.
fn raw(name: &'static str, bytes: impl Into<String>) -> Case {
    Case { name, bytes: bytes.into() }
}

/// A POST with these lines in its head and what follows it.
fn post(name: &'static str, lines: &str, rest: &str) -> Case {
    raw(name, format!("POST /v1/releases HTTP/1.1\r\nhost: {{self}}\r\n{{who}}\r\n{lines}\r\n\r\n{rest}"))
}

/// A GET of this target.
fn target(name: &'static str, target: &str) -> Case {
    raw(name, format!("GET {target} HTTP/1.1\r\nhost: {{self}}\r\n{{who}}\r\nconnection: close\r\n\r\n"))
}

/// A GET with these lines in its head.
fn header(name: &'static str, lines: &str) -> Case {
    raw(name, format!("GET /v1/releases HTTP/1.1\r\nhost: {{self}}\r\n{{who}}\r\n{lines}\r\n\r\n"))
}

pub(super) fn framing() -> Vec<Case> {
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    let length = chunked.len();
    vec![
        post("a length", "content-length: 4", "abcd"),
        post("chunks", "transfer-encoding: chunked", "4\r\nabcd\r\n0\r\n\r\n"),
        post(
            "a length, then chunks",
            &format!("content-length: {length}\r\ntransfer-encoding: chunked"),
            &chunked,
        ),
        post(
            "chunks, then a length",
            &format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
            &chunked,
        ),
        post("two lengths that differ", "content-length: 4\r\ncontent-length: 5", "abcde"),
        post("two lengths that agree", "content-length: 4\r\ncontent-length: 4", "abcd"),
        post("a list of lengths", "content-length: 4, 4", "abcd"),
        post("a list of lengths that differ", "content-length: 4, 5", "abcde"),
        post("a length with a sign", "content-length: +4", "abcd"),
        post("a negative length", "content-length: -4", "abcd"),
        post("a length in hex", "content-length: 0x4", "abcd"),
        post("a length with a point", "content-length: 4.0", "abcd"),
        post("no length", "content-length:", "abcd"),
        post("a length beyond all numbers", "content-length: 99999999999999999999", "abcd"),
        post("a length with an underscore in its name", "content_length: 4", SMUGGLED),
        post("a space before the colon", "content-length : 4", "abcd"),
        post("a space before the colon of chunks", "transfer-encoding : chunked", &chunked),
        post("a tab before the colon", "transfer-encoding\t: chunked", &chunked),
        post("a folded line", "x-folded: a\r\n b", ""),
        post("chunks on a folded line", "transfer-encoding:\r\n chunked", &chunked),
        post("another coding", "transfer-encoding: identity", "abcd"),
        post("chunks and then another coding", "transfer-encoding: chunked, identity", &chunked),
        post("another coding and then chunks", "transfer-encoding: gzip, chunked", "4\r\nabcd\r\n0\r\n\r\n"),
        post("chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked", &chunked),
        post(
            "chunks, and a second line with nonsense",
            "transfer-encoding: chunked\r\ntransfer-encoding: x",
            &chunked,
        ),
        post("a misspelt coding", "transfer-encoding: xchunked", &chunked),
        post("a quoted coding", "transfer-encoding: \"chunked\"", &chunked),
        post("a coding after a vertical tab", "transfer-encoding: \u{b}chunked", &chunked),
        post("a coding in capitals", "TRANSFER-ENCODING: CHUNKED", "4\r\nabcd\r\n0\r\n\r\n"),
        raw(
            "chunks in HTTP/1.0",
            format!("POST /v1/releases HTTP/1.0\r\n{{who}}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
        ),
        raw(
            "a GET with a body that looks like a request",
            format!(
                "GET /v1/releases HTTP/1.1\r\nhost: {{self}}\r\n{{who}}\r\ncontent-length: {}\r\n\r\n{SMUGGLED}",
                SMUGGLED.len()
            ),
        ),
        raw(
            "two requests at once are two",
            "GET /v1/releases HTTP/1.1\r\nhost: {self}\r\n{who}\r\n\r\nGET /v1/environments HTTP/1.1\r\nhost: {self}\r\n{who}\r\nconnection: close\r\n\r\n",
        ),
        post("a body that is cut short by another request", "content-length: 4", &format!("ab{SMUGGLED}")),
    ]
}

pub(super) fn chunks() -> Vec<Case> {
    let of = |name, body: &str| post(name, "transfer-encoding: chunked", body);
    let long = format!("4;{}\r\nabcd\r\n0\r\n\r\n", "x".repeat(20_000));
    vec![
        of("an extension", "4;name=value\r\nabcd\r\n0\r\n\r\n"),
        of("an extension with a bare line feed", "4;a\nb\r\nabcd\r\n0\r\n\r\n"),
        of("an extension that never ends", &long),
        of("a size in hex with a prefix", "0x4\r\nabcd\r\n0\r\n\r\n"),
        of("a size with a sign", "+4\r\nabcd\r\n0\r\n\r\n"),
        of("a size beyond all numbers", "fffffffffffffffff\r\nabcd\r\n0\r\n\r\n"),
        of("no size", "\r\nabcd\r\n0\r\n\r\n"),
        of("a size that ends in a bare line feed", "4\nabcd\r\n0\r\n\r\n"),
        of("a chunk longer than it says", "4\r\nabcdef\r\n0\r\n\r\n"),
        of("a chunk that ends in a bare line feed", "4\r\nabcd\n0\r\n\r\n"),
        of("a chunk shorter than it says", "8\r\nabcd\r\n0\r\n\r\n"),
        of("a size with letters after it", "4z\r\nabcd\r\n0\r\n\r\n"),
        of("identity in a trailer", "4\r\nabcd\r\n0\r\nx-slipway-identity: forged\r\n\r\n"),
        post(
            "identity in a trailer that is announced",
            "transfer-encoding: chunked\r\ntrailer: x-slipway-identity",
            "4\r\nabcd\r\n0\r\nx-slipway-identity: forged\r\n\r\n",
        ),
        of("a length in a trailer", "4\r\nabcd\r\n0\r\ncontent-length: 9\r\n\r\n"),
        of("a request after the last chunk", &format!("4\r\nabcd\r\n0\r\n\r\n{SMUGGLED}")),
    ]
}

pub(super) fn paths() -> Vec<Case> {
    let long = format!("/v1/releases/{}", "a".repeat(2000));
    let endless = format!("/v1/releases/{}", "a".repeat(70_000));
    vec![
        target("as it is", "/v1/releases/1.4.0"),
        target("two slashes", "/v1//releases"),
        target("two slashes at the start", "//v1/releases"),
        target("a slash at the end", "/v1/releases/"),
        target("up", "/v1/releases/../tokens"),
        target("up, encoded", "/v1/releases/%2e%2e/tokens"),
        target("up, half encoded", "/v1/releases/.%2E/tokens"),
        target("up, encoded twice", "/v1/releases/%252e%252e/tokens"),
        target("up, with a parameter", "/v1/releases/..;/tokens"),
        target("here", "/v1/./releases"),
        target("an encoded slash", "/v1/releases%2f1.4.0"),
        target("an encoded letter", "/v1/r%65leases"),
        target("an encoded NUL", "/v1/releases/1.4.0%00"),
        target("a NUL", "/v1/releases/1.4.0\0"),
        target("an encoded line end", "/v1/releases/1%0d%0ax-slipway-identity:%20forged"),
        target("a percent sign", "/v1/releases/%"),
        target("a backslash", "/v1\\releases"),
        target("a tab", "/v1/releases\t/x"),
        target("a letter beyond ASCII", "/v1/releases/\u{e9}"),
        target("other letters", "/V1/Releases"),
        target("a fragment", "/v1/releases#/../tokens"),
        target("the inner API", "/internal/v1/tokens/resolve"),
        target("the inner API by a way around", "/v1/../internal/v1/tokens/resolve"),
        target("a query with a second question mark", "/v1/releases?a=b?c"),
        target("a query with a space", "/v1/releases?a= HTTP/1.1\r\nx: "),
        target("a whole URL", "http://{self}/v1/releases"),
        target("a whole URL of another host", "http://evil.example/v1/releases"),
        target("a whole URL with a user", "http://root@{self}/v1/releases"),
        target("a whole URL of another scheme", "ftp://{self}/v1/releases"),
        target("a whole URL without a path", "http://{self}"),
        target("an authority", "{self}"),
        target("an asterisk", "*"),
        target("no slash", "v1/releases"),
        target("nothing", ""),
        target("long", &long),
        target("endless", &endless),
    ]
}

pub(super) fn headers() -> Vec<Case> {
    vec![
        header("identity", "x-slipway-identity: forged"),
        header("identity in capitals", "X-SLIPWAY-IDENTITY: forged"),
        header("identity twice", "x-slipway-identity: forged\r\nX-Slipway-Identity: forged"),
        header("identity with underscores", "x_slipway_identity: forged\r\nX_Slipway-Identity: forged"),
        header("another of the family", "x-slipway-actor: root\r\nx-slipway-role: operator"),
        header("identity with a space before the colon", "x-slipway-identity : forged"),
        header("identity after a bare carriage return", "accept: a\rx-slipway-identity: forged"),
        header("identity after a bare line feed", "accept: a\nx-slipway-identity: forged"),
        header("identity after a NUL", "accept: a\0x-slipway-identity: forged"),
        header("identity in a name with a NUL", "x-slipway-identity\0: forged"),
        header("identity named in connection", "connection: x-slipway-identity"),
        header(
            "identity named in connection, and sent",
            "connection: x-slipway-identity\r\nx-slipway-identity: forged",
        ),
        header(
            "what the gateway adds named in connection",
            "connection: close, x-request-id, host, x-forwarded-for",
        ),
        header("another method", "x-http-method-override: DELETE"),
        header("another method, otherwise spelt", "X-HTTP-Method: DELETE"),
        header("another method, the third way", "x-method-override: DELETE"),
        header("another path", "x-original-url: /v1/tokens"),
        header("another path, otherwise spelt", "x-rewrite-url: /v1/tokens"),
        header("a second authorization", "authorization: Bearer other"),
        header(
            "cookies and proxies",
            "cookie: a=b\r\nproxy-authorization: Basic eDp5\r\nforwarded: for=192.0.2.1",
        ),
        header(
            "where it comes from",
            "x-forwarded-for: 192.0.2.1\r\nx-forwarded-host: evil.example\r\nx-real-ip: 1.1.1.1",
        ),
        header("two request ids", "x-request-id: other"),
        header("another protocol", "connection: upgrade\r\nupgrade: websocket"),
        header(
            "HTTP/2 in the clear",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk",
        ),
        header("a hundred headers too many", &"x: y\r\n".repeat(200)),
        header("a header without end", &format!("x: {}", "y".repeat(600_000))),
        header("a line without a colon", "nonsense"),
        header("an empty name", ": value"),
        header("a name beyond ASCII", "x-\u{e9}: value"),
    ]
}

pub(super) fn requests() -> Vec<Case> {
    let rest = "{who}\r\nconnection: close\r\n\r\n";
    let get = |name, line: &str, host: &str| raw(name, format!("{line}\r\n{host}{rest}"));
    vec![
        get("one host", "GET /v1/releases HTTP/1.1", "host: slipway.example\r\n"),
        get("no host", "GET /v1/releases HTTP/1.1", ""),
        get("two hosts", "GET /v1/releases HTTP/1.1", "host: a.example\r\nhost: b.example\r\n"),
        get("the same host twice", "GET /v1/releases HTTP/1.1", "host: a.example\r\nhost: a.example\r\n"),
        get("an empty host", "GET /v1/releases HTTP/1.1", "host:\r\n"),
        get("a host with a path", "GET /v1/releases HTTP/1.1", "host: a.example/v1\r\n"),
        get("a host with a user", "GET /v1/releases HTTP/1.1", "host: root@a.example\r\n"),
        get("a list of hosts", "GET /v1/releases HTTP/1.1", "host: a.example, b.example\r\n"),
        get("a host before the request", "host: a.example\r\nGET /v1/releases HTTP/1.1", ""),
        get("HTTP/1.0 without a host", "GET /v1/releases HTTP/1.0", ""),
        get("HTTP/0.9", "GET /v1/releases", "host: a.example\r\n"),
        get("HTTP/1.2", "GET /v1/releases HTTP/1.2", "host: a.example\r\n"),
        get("HTTP/2.0", "GET /v1/releases HTTP/2.0", "host: a.example\r\n"),
        get("a version in small letters", "GET /v1/releases http/1.1", "host: a.example\r\n"),
        get("a method in small letters", "get /v1/releases HTTP/1.1", "host: a.example\r\n"),
        get("a method that is none", "G\u{e9}T /v1/releases HTTP/1.1", "host: a.example\r\n"),
        get("two spaces", "GET  /v1/releases HTTP/1.1", "host: a.example\r\n"),
        get("a tab instead of a space", "GET\t/v1/releases HTTP/1.1", "host: a.example\r\n"),
        get("TRACE", "TRACE /v1/releases HTTP/1.1", "host: a.example\r\n"),
        get("OPTIONS of everything", "OPTIONS * HTTP/1.1", "host: a.example\r\n"),
        get("CONNECT", "CONNECT internal.example:443 HTTP/1.1", "host: internal.example:443\r\n"),
        get("HEAD", "HEAD /v1/releases HTTP/1.1", "host: a.example\r\n"),
        raw("bare line feeds", "GET /v1/releases HTTP/1.1\nhost: a.example\n{who}\nconnection: close\n\n"),
        raw(
            "an empty line before",
            "\r\nGET /v1/releases HTTP/1.1\r\nhost: a.example\r\n{who}\r\nconnection: close\r\n\r\n",
        ),
        raw("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        raw("a greeting of TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0"),
        raw("nothing but line ends", "\r\n\r\n\r\n\r\n"),
    ]
}
