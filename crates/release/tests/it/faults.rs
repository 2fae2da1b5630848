//! A proxy before a real registry that does to chosen requests what registries do on bad days.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST, RANGE},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// An answer of the proxy's own: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// So many bytes of the request's body reach the registry, then the connection is closed on both sides.
    CloseUploadAfter(usize),
    /// The request is carried out, and the connection is closed instead of an answer.
    LoseAnswer,
    /// So many bytes of the answer's body arrive, then the connection is closed.
    CloseDownloadAfter(usize),
    /// The answer's body comes a byte at a time, with this pause between two.
    Drip(Duration),
    /// The answer has another body of the same length.
    Forge,
    /// The registry never hears of ranges.
    ForgetRange,
}

/// Which requests, and how often.
#[derive(Debug, Clone)]
struct Rule {
    method: &'static str,
    part: String,
    fault: Fault,
    left: usize,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
    /// The token without which nothing is let in, and the `Authorization` that the issuer wants.
    bearer: Option<(String, String)>,
}

/// The proxy.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) address: String,
    upstream: String,
    state: Arc<Mutex<State>>,
    http: Client<HttpConnector, BoxBody<Bytes, hyper::Error>>,
}

type Outgoing = BoxBody<Bytes, io::Error>;

impl Faulty {
    pub(crate) async fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faulty = Self {
            address: listener.local_addr().unwrap().to_string(),
            upstream: upstream.to_owned(),
            state: Arc::default(),
            http: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http(),
        };
        let serving = faulty.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let faulty = serving.clone();
                let service = service_fn(move |request| {
                    let faulty = faulty.clone();
                    async move { faulty.handle(request).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        faulty
    }

    /// The next `times` requests of this method whose path holds `part` meet this fault.
    pub(crate) fn on(&self, method: &'static str, part: &str, times: usize, fault: Fault) {
        self.state.lock().unwrap().rules.push(Rule { method, part: part.to_owned(), fault, left: times });
    }

    /// Lets in only who has a token, which the issuer gives to who has this `Authorization`.
    pub(crate) fn ask_for_token(&self, token: &str, authorization: &str) {
        self.state.lock().unwrap().bearer = Some((token.to_owned(), authorization.to_owned()));
    }

    /// How many requests of this method came whose path holds `part`.
    pub(crate) fn seen(&self, method: &str, part: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|it| it.starts_with(&format!("{method} ")) && it.contains(part)).count()
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Outgoing>, io::Error> {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(format!("{method} {path}"));
            let rule = state
                .rules
                .iter_mut()
                .find(|it| it.method == method && path.contains(&it.part) && it.left > 0);
            rule.map(|it| {
                it.left -= 1;
                it.fault.clone()
            })
        };
        if let Some(answer) = self.guard(&request) {
            return Ok(answer);
        }
        match fault {
            None => Ok(whole(self.forward(request).await?)),
            Some(Fault::Answer(status, headers, body)) => Ok(answer(status, &headers, body)),
            Some(Fault::CloseUploadAfter(bytes)) => Err(self.cut_upload(request, bytes).await),
            Some(Fault::LoseAnswer) => {
                self.forward(request).await?.into_body().collect().await.ok();
                Err(io::Error::other("lost"))
            }
            Some(Fault::CloseDownloadAfter(bytes)) => {
                let (parts, body) = self.forward(request).await?.into_parts();
                let whole = body.collect().await.map_err(io::Error::other)?.to_bytes();
                let pieces =
                    Pieces { rest: whole.slice(..bytes.min(whole.len())), ..Pieces::of(Bytes::new()) };
                Ok(Response::from_parts(parts, BoxBody::new(Pieces { breaks: true, piece: bytes, ..pieces })))
            }
            Some(Fault::Drip(pause)) => {
                let (parts, body) = self.forward(request).await?.into_parts();
                let whole = body.collect().await.map_err(io::Error::other)?.to_bytes();
                Ok(Response::from_parts(parts, BoxBody::new(Pieces { pause, piece: 1, ..Pieces::of(whole) })))
            }
            Some(Fault::Forge) => {
                let (parts, body) = self.forward(request).await?.into_parts();
                let length = body.collect().await.map_err(io::Error::other)?.to_bytes().len();
                let forged = Bytes::from(vec![b' '; length]);
                Ok(Response::from_parts(parts, full(forged)))
            }
            Some(Fault::ForgetRange) => {
                let mut request = request;
                request.headers_mut().remove(RANGE);
                Ok(whole(self.forward(request).await?))
            }
        }
    }

    /// The issuer of tokens, and the door that asks for them.
    fn guard(&self, request: &Request<Incoming>) -> Option<Response<Outgoing>> {
        let (token, wanted) = self.state.lock().unwrap().bearer.clone()?;
        let given = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        if request.uri().path() == "/token" {
            let body = format!(r#"{{"token":"{token}","access_token":"{token}"}}"#);
            return Some(match given == Some(&wanted) {
                true => Response::new(full(body.into())),
                false => answer(401, &[], ""),
            });
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

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Incoming>, io::Error> {
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("http://{}{}", self.upstream, parts.uri).parse().unwrap();
        if self.state.lock().unwrap().bearer.is_some() {
            parts.headers.remove(AUTHORIZATION);
        }
        let request = Request::from_parts(parts, BoxBody::new(body));
        self.http.request(request).await.map_err(io::Error::other)
    }

    /// Says the request's length and sends less, as a client does whose connection breaks.
    async fn cut_upload(&self, request: Request<Incoming>, bytes: usize) -> io::Error {
        let (parts, body) = request.into_parts();
        let whole = body.collect().await.unwrap().to_bytes();
        if bytes > 0 {
            let mut head = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri);
            for (name, value) in
                parts.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH && *name != HOST)
            {
                head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
            }
            head.push_str(&format!("host: {}\r\ncontent-length: {}\r\n\r\n", self.address, whole.len()));
            let mut stream = TcpStream::connect(&self.upstream).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&whole[..bytes.min(whole.len())]).await.unwrap();
            stream.shutdown().await.unwrap();
            // The registry stores what came when it sees the end of the connection.
            sleep(Duration::from_millis(200)).await;
        }
        io::Error::other("cut")
    }
}

/// A body in pieces, with pauses between them, that may break off at its end.
struct Pieces {
    rest: Bytes,
    piece: usize,
    pause: Duration,
    breaks: bool,
    sleeping: Option<Pin<Box<Sleep>>>,
}

impl Pieces {
    fn of(rest: Bytes) -> Self {
        Self { rest, piece: 1, pause: Duration::ZERO, breaks: false, sleeping: None }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.pause.is_zero() {
            let pause = self.pause;
            let sleeping = self.sleeping.get_or_insert_with(|| Box::pin(sleep(pause)));
            std::task::ready!(sleeping.as_mut().poll(cx));
            self.sleeping = None;
        }
        if self.rest.is_empty() {
            // A moment passes first, or what was sent before is dropped with the connection.
            if self.breaks && self.pause.is_zero() {
                self.pause = Duration::from_millis(100);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(self.breaks.then(|| Err(io::Error::other("broken"))));
        }
        let piece = self.piece.clamp(1, self.rest.len());
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

fn full(bytes: Bytes) -> Outgoing {
    BoxBody::new(Full::new(bytes).map_err(|never: Infallible| match never {}))
}

fn whole(answer: Response<Incoming>) -> Response<Outgoing> {
    answer.map(|body| BoxBody::new(body.map_err(io::Error::other)))
}

fn answer(status: u16, headers: &[(&str, String)], body: &'static str) -> Response<Outgoing> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(full(body.into())).unwrap()
}
