//! Reading blobs: streamed, checked, and continued where a connection broke.

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, RANGE},
};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::{
    Descriptor, Registry, RegistryError,
    auth::Action,
    patience::{Failure, Patience},
    transport::Call,
};
use crate::{
    digest::{Digest, Digester},
    reference::Repository,
};

/// A download: what has arrived so far.
struct Arrived<'a> {
    sink: &'a mut (dyn AsyncWrite + Unpin + Send),
    digester: Digester,
    bytes: u64,
}

impl Registry {
    /// Whether a blob is there.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, RegistryError> {
        let mut patience = self.patience(repository, format!("look for {digest} in `{repository}`"), 0);
        self.stands(&mut patience, repository, digest, Action::Pull).await
    }

    /// As [`Registry::has_blob`], within an operation and with its rights.
    pub(super) async fn stands(
        &self,
        patience: &mut Patience<'_>,
        repository: &Repository,
        digest: &Digest,
        action: Action,
    ) -> Result<bool, RegistryError> {
        let uri = self.transport.uri(repository, &format!("blobs/{digest}"))?;
        loop {
            let call = Call::new(&patience.what, repository, action, uri.clone()).method(Method::HEAD);
            match patience.attempt(self.transport.send(&call)).await {
                Ok(_) => return Ok(true),
                Err(Failure::Final(RegistryError::NotFound { .. })) => return Ok(false),
                Err(failure) => patience.again(failure).await?,
            }
        }
    }

    /// Streams a blob into `sink` and goes on where a connection broke. What was written counts only if this returns `Ok`:
    /// the digest is known at the end.
    ///
    /// # Errors
    /// When it is not there, not what its descriptor says, or the registry refuses or does not answer.
    pub async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        sink: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), RegistryError> {
        let what = format!("read {} of `{repository}`", blob.digest);
        let mut patience = self.patience(repository, what, blob.size);
        let mut arrived = Arrived { sink, digester: Digester::default(), bytes: 0 };
        loop {
            let before = arrived.bytes;
            let call_what = patience.what.clone();
            let tried = self.receive(&call_what, repository, blob, &mut arrived);
            let Err(failure) = patience.attempt(tried).await else { break };
            if arrived.bytes > before {
                patience.progressed();
            }
            patience.again(failure).await?;
        }
        let flushed = arrived.sink.flush().await;
        flushed.map_err(RegistryError::Sink)?;
        let found = arrived.digester.finish();
        if found == blob.digest {
            return Ok(());
        }
        let (what, host, expected) = (patience.what, patience.host, blob.digest.clone());
        Err(RegistryError::WrongContent { what, host, expected, found: found.to_string() })
    }

    /// A small blob of at most `max` bytes.
    ///
    /// # Errors
    /// As [`Registry::blob`], and when it is larger.
    pub async fn blob_bytes(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        max: usize,
    ) -> Result<Bytes, RegistryError> {
        if blob.size > max as u64 {
            let what = format!("read {} of `{repository}`", blob.digest);
            let host = repository.registry().to_owned();
            return Err(RegistryError::TooLarge { what, host, max: max as u64 });
        }
        let mut bytes = Vec::new();
        self.blob(repository, blob, &mut bytes).await?;
        Ok(bytes.into())
    }

    /// One attempt at what has not arrived yet.
    async fn receive(
        &self,
        what: &str,
        repository: &Repository,
        blob: &Descriptor,
        arrived: &mut Arrived<'_>,
    ) -> Result<(), Failure> {
        if arrived.bytes == blob.size && blob.size > 0 {
            return Ok(());
        }
        let uri = self.transport.uri(repository, &format!("blobs/{}", blob.digest))?;
        let mut call = Call::new(what, repository, Action::Pull, uri);
        if arrived.bytes > 0 {
            call = call.header(RANGE, format!("bytes={}-", arrived.bytes));
        }
        let answer = self.transport.send(&call).await?;
        // A registry that takes no ranges begins anew; what is known already is passed over.
        let mut skip = if answer.status() == StatusCode::PARTIAL_CONTENT { 0 } else { arrived.bytes };
        let length =
            answer.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let wrong_size = |found: u64| RegistryError::WrongContent {
            what: what.to_owned(),
            host: repository.registry().to_owned(),
            expected: blob.digest.clone(),
            found: format!("{found} bytes instead of {}", blob.size),
        };
        if let Some(length) = length.filter(|it| it + arrived.bytes - skip != blob.size) {
            return Err(wrong_size(length + arrived.bytes - skip).into());
        }
        let mut body = answer.into_body();
        while let Some(mut piece) = self.transport.piece(&call, &mut body).await? {
            let passed = skip.min(piece.len() as u64);
            skip -= passed;
            let piece = piece.split_off(usize::try_from(passed).unwrap_or(piece.len()));
            if arrived.bytes + piece.len() as u64 > blob.size {
                return Err(wrong_size(arrived.bytes + piece.len() as u64).into());
            }
            // Written first: an attempt that is given up in between has not counted what the sink lacks.
            arrived.sink.write_all(&piece).await.map_err(RegistryError::Sink)?;
            arrived.digester.update(&piece);
            arrived.bytes += piece.len() as u64;
        }
        if arrived.bytes < blob.size {
            return Err(Failure::passing(format!("`{}` ended the blob early", repository.registry())));
        }
        Ok(())
    }
}
