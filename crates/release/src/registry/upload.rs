//! Uploading blobs: in one request where they are small, in chunks where not, continued where a connection broke.

use std::io::SeekFrom;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Uri,
    header::{CONTENT_RANGE, CONTENT_TYPE, RANGE},
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use super::{
    Blob, Content, Pushed, Registry, RegistryError, auth::Action, patience::Failure, transport::Call,
};
use crate::reference::Repository;

/// The only type that a blob is sent as.
const OCTETS: &str = "application/octet-stream";

/// An upload that the registry knows.
#[derive(Debug)]
struct Session {
    location: Uri,
    /// Bytes that the registry has.
    offset: u64,
    /// It was asked where it stood after a request broke.
    is_resumed: bool,
}

/// What one request came to.
enum Step {
    Further(Session),
    Done,
}

impl Registry {
    /// Uploads a blob unless it is there, and goes on where a connection broke.
    ///
    /// # Errors
    /// When its file cannot be read, or the registry refuses, is full, or does not answer.
    pub async fn push_blob(&self, repository: &Repository, blob: &Blob) -> Result<Pushed, RegistryError> {
        let what = format!("upload {} to `{repository}`", blob.digest);
        let mut patience = self.patience(repository, what.clone(), blob.size);
        if self.stands(&mut patience, repository, &blob.digest, Action::Push).await? {
            return Ok(Pushed::Present);
        }
        let mut session: Option<Session> = None;
        let mut furthest = 0;
        loop {
            let tried = match session.take() {
                None => patience.attempt(self.begin(&what, repository)).await,
                Some(it) => {
                    let tried = patience.attempt(self.advance(&what, repository, blob, &it)).await;
                    if matches!(tried, Err(Failure::Passing { .. })) {
                        session = Some(it);
                    }
                    tried
                }
            };
            match tried {
                Ok(Step::Done) => return Ok(Pushed::Uploaded),
                Ok(Step::Further(it)) => {
                    if it.offset > furthest {
                        furthest = it.offset;
                        patience.progressed();
                    }
                    session = Some(it);
                }
                Err(failure) => {
                    patience.again(failure).await?;
                    // The answer may be all that was lost.
                    if self.stands(&mut patience, repository, &blob.digest, Action::Push).await? {
                        return Ok(Pushed::Uploaded);
                    }
                    if let Some(broken) = session.take() {
                        session =
                            patience.attempt(self.stood(&what, repository, broken)).await.ok().flatten();
                    }
                }
            }
        }
    }

    /// Opens an upload.
    async fn begin(&self, what: &str, repository: &Repository) -> Result<Step, Failure> {
        let uri = self.transport.uri(repository, "blobs/uploads/")?;
        let call = Call::new(what, repository, Action::Push, uri).method(Method::POST);
        let answer = self.transport.send(&call).await?;
        let location = self.transport.location(&call, answer.headers())?;
        Ok(Step::Further(Session { location, offset: 0, is_resumed: false }))
    }

    /// Sends the next chunk, or all that is left and with it the digest.
    async fn advance(
        &self,
        what: &str,
        repository: &Repository,
        blob: &Blob,
        session: &Session,
    ) -> Result<Step, Failure> {
        let left = blob.size.saturating_sub(session.offset);
        let chunk = left.min(self.transport.options.limits.chunk_bytes.max(1) as u64);
        let body = read(blob, session.offset, chunk).await?;
        let is_last = chunk == left;
        let (method, uri) = match is_last {
            true => (Method::PUT, with_digest(&session.location, &blob.digest.to_string())),
            false => (Method::PATCH, Ok(session.location.clone())),
        };
        let uri = uri.map_err(|why| super::transport::strange(repository.registry(), why))?;
        let end = session.offset + chunk;
        let mut call =
            Call::new(what, repository, Action::Push, uri).method(method).header(CONTENT_TYPE, OCTETS);
        if chunk > 0 && (!is_last || session.offset > 0) {
            call = call.header(CONTENT_RANGE, format!("{}-{}", session.offset, end - 1));
        }
        let answer = match self.transport.send(&call.clone().body(body)).await {
            Ok(answer) => answer,
            Err(Failure::Final(error)) if is_lost(&error, session) => {
                return Err(Failure::passing(format!("the upload was lost: {error}")));
            }
            Err(failure) => return Err(failure),
        };
        if is_last {
            return Ok(Step::Done);
        }
        let offset = acknowledged(answer.headers()).unwrap_or(end);
        let location = self.transport.location(&call, answer.headers())?;
        Ok(Step::Further(Session { location, offset, is_resumed: session.is_resumed }))
    }

    /// Asks how far an upload got whose last request broke; nothing where it has to begin anew.
    async fn stood(
        &self,
        what: &str,
        repository: &Repository,
        broken: Session,
    ) -> Result<Option<Session>, Failure> {
        let call = Call::new(what, repository, Action::Push, broken.location.clone());
        let answer = self.transport.send(&call).await?;
        let Some(offset) = acknowledged(answer.headers()) else { return Ok(None) };
        let location = self.transport.location(&call, answer.headers()).unwrap_or(broken.location);
        Ok(Some(Session { location, offset, is_resumed: true }))
    }
}

/// A session that the registry forgot, or does not continue as it said: a new one helps.
fn is_lost(error: &RegistryError, session: &Session) -> bool {
    match error {
        RegistryError::NotFound { .. } => true,
        RegistryError::Refused { status, .. } => *status == 416 || (session.is_resumed && *status == 400),
        _ => false,
    }
}

/// How many bytes the registry has. `0-0` is said for none, and for one, which then is sent again.
fn acknowledged(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let end: u64 = range.split_once('-')?.1.parse().ok()?;
    Some(if end == 0 { 0 } else { end + 1 })
}

fn with_digest(location: &Uri, digest: &str) -> Result<Uri, String> {
    let separator = if location.query().is_some() { '&' } else { '?' };
    format!("{location}{separator}digest={digest}").parse().map_err(|_| format!("`{location}` is no address"))
}

async fn read(blob: &Blob, offset: u64, length: u64) -> Result<Bytes, RegistryError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match &blob.content {
        Content::Bytes(bytes) => {
            let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Ok(bytes.slice(begin..(begin + length).min(bytes.len())))
        }
        Content::File { path, offset: begin } => {
            let file = |error| RegistryError::File { path: path.clone(), error };
            let mut open = File::open(path).await.map_err(file)?;
            open.seek(SeekFrom::Start(begin + offset)).await.map_err(file)?;
            let mut bytes = vec![0; length];
            open.read_exact(&mut bytes).await.map_err(file)?;
            Ok(bytes.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_digest_joins_what_the_registry_put_into_the_address() {
        let with = |text: &str| with_digest(&text.parse().unwrap(), "sha256:1").unwrap().to_string();
        insta::assert_snapshot!(with("http://h/v2/a/blobs/uploads/1?_state=x"), @"http://h/v2/a/blobs/uploads/1?_state=x&digest=sha256:1");
        insta::assert_snapshot!(with("http://h/v2/a/blobs/uploads/1"), @"http://h/v2/a/blobs/uploads/1?digest=sha256:1");
    }

    #[test]
    fn how_far_an_upload_got_is_read_from_its_range() {
        let range =
            |text: &str| acknowledged(&HeaderMap::from_iter([(RANGE, HeaderValue::from_str(text).unwrap())]));
        assert_eq!(
            (range("0-99"), range("bytes=0-99"), range("0-0"), range("x")),
            (Some(100), Some(100), Some(0), None)
        );
    }
}
