//! Making a change again that lost against another one at the same time.

use std::time::Duration;

use crate::Error;

/// How often a change is tried in all.
const ATTEMPTS_MAX: u32 = 4;

/// The wait before the second attempt; it doubles with each further one. The server lets one of two win, so that no
/// chance is needed to tell them apart.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// An error that may say: try again.
pub(crate) trait Lost {
    /// Whether the same change may succeed when it is made again.
    fn is_lost(&self) -> bool;
}

impl Lost for Error {
    fn is_lost(&self) -> bool {
        let Self::Contended(error) = self else { return false };
        // Serialization failure, deadlock. A timeout is none: it has cost the caller its time already.
        let code = error.as_database_error().and_then(|database| database.code());
        code.is_some_and(|code| code == "40001" || code == "40P01")
    }
}

/// Makes a change until it neither lost nor was tried too often.
pub(crate) async fn retried<T, E, F, Fut>(mut change: F) -> Result<T, E>
where
    E: Lost,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS_MAX {
        match change().await {
            Err(error) if error.is_lost() => tokio::time::sleep(wait).await,
            ended => return ended,
        }
        wait *= 2;
    }
    change().await
}
