//! What can go wrong between the record and its caller, told apart by what the caller does about it.

use sqlx::error::ErrorKind;

/// Why the record did not do what it was asked. "Not found" is none of these: it is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The same thing is recorded already; asking again will not help.
    #[error("{0}")]
    Conflict(&'static str),
    /// The schema does not accept the value; the text says which and why.
    #[error("{0}")]
    Invalid(&'static str),
    /// The address of the database cannot be understood. Its text is not repeated: it holds a password.
    #[error("the database URL is malformed: write it as `postgres://USER@HOST:PORT/DATABASE`")]
    MalformedUrl,
    /// The key was used for another request; see [`crate::Key`].
    #[error("this key was used for another request")]
    KeyReused,
    /// Who follows events stands before some that are forgotten.
    #[error("the events up to `{up_to}` are forgotten")]
    Forgotten {
        /// The last of them.
        up_to: i64,
    },
    /// Others wanted the same at the same time, or the database was too slow; it may go better later.
    #[error("the database could not do it in time beside what others asked for")]
    Contended(#[source] sqlx::Error),
    /// The database does not answer, or turns connections away; it may do so later.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// Anything else that the database said: a fault in the queries, the schema or the grants.
    #[error("the database refused a query")]
    Refused(#[source] sqlx::Error),
}

/// What a constraint of the schema means to the one who broke it.
const CONSTRAINTS: &[(&str, &str)] = &[
    ("releases_version_key", "a release of this `version` is recorded already"),
    ("releases_version_is_semantic", "`version` must be a semantic version such as `1.4.0`"),
    ("releases_commit_id_is_full", "`commit_id` must be the full commit, 40 or 64 lower-case hex digits"),
    ("releases_recorded_by_is_said", "the actor must not be empty"),
    ("releases_signing_key_id_is_sha256", "`signing_key_id` must be 64 lower-case hex digits"),
    ("releases_evidence_is_short", "`evidence` must have 1 to 2048 characters"),
    ("release_images_pkey", "`images` names a service twice"),
    (
        "release_images_service_is_plain",
        "`service` must be lower-case letters, digits and hyphens, and start with a letter",
    ),
    ("release_images_repository_is_said", "`repository` must not be empty"),
    ("release_images_digest_is_sha256", "`digest` must be `sha256:` and 64 lower-case hex digits"),
    ("environments_name_key", "an environment of this `name` is recorded already"),
    (
        "environments_name_is_plain",
        "`name` must be lower-case letters, digits and hyphens, and start with a letter",
    ),
    ("environment_services_pkey", "`services` names a service twice"),
    (
        "environment_services_service_is_plain",
        "`services` must be lower-case letters, digits and hyphens, and start with a letter",
    ),
    ("environments_requires_another", "an environment cannot require itself"),
    ("observations_note_is_short", "`note` must have at most 2000 characters"),
    ("promotions_note_is_short", "`note` must have at most 2000 characters"),
    ("promotions_decision_note_is_short", "`note` must have at most 2000 characters"),
    ("promotions_are_decided_by_another", "nobody decides what they asked for themselves"),
    ("api_tokens_name_key", "a token of this `name` was made already"),
    (
        "api_tokens_name_is_plain",
        "`name` must be lower-case letters, digits and hyphens, and start with a letter",
    ),
    ("api_tokens_expire_later", "`expires_at` must be in the future"),
    ("idempotency_keys_key_is_short", "a key must have 1 to 255 characters"),
    ("audit_entries_actor_is_said", "the actor must not be empty"),
    ("audit_entries_action_is_dotted", "`action` must be dotted lower-case words such as `release.recorded`"),
    ("audit_entries_subject_is_said", "`subject` must not be empty"),
    ("audit_entries_details_is_object", "`details` must be a JSON object"),
    ("jobs_kind_is_plain", "`kind` must be lower-case letters, digits and underscores"),
    ("jobs_payload_is_object", "a job's `payload` must be a JSON object"),
    ("jobs_may_be_tried", "`max_attempts` must be at least 1"),
    ("webhook_outbox_event_is_dotted", "`event` must be dotted lower-case words such as `release.recorded`"),
    ("webhook_outbox_payload_is_object", "an event's `payload` must be a JSON object"),
];

impl Error {
    /// For a URL that could not be parsed; what sqlx says of it may quote it.
    pub(crate) fn from_url(_: sqlx::Error) -> Self {
        Self::MalformedUrl
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let Some(database) = error.as_database_error() {
            let meaning = database.constraint().and_then(meaning_of);
            match (database.kind(), meaning) {
                (ErrorKind::UniqueViolation, Some(text)) if !text.contains("twice") => {
                    return Self::Conflict(text);
                }
                (ErrorKind::UniqueViolation | ErrorKind::CheckViolation, Some(text)) => {
                    return Self::Invalid(text);
                }
                _ => {}
            }
        }
        if is_data_fault(&error) {
            Self::Invalid("a value is none that the record can hold, such as a text with a zero byte")
        } else if is_contended(&error) {
            Self::Contended(error)
        } else if is_unavailable(&error) {
            Self::Unavailable(error)
        } else {
            Self::Refused(error)
        }
    }
}

fn meaning_of(constraint: &str) -> Option<&'static str> {
    CONSTRAINTS.iter().find(|(name, _)| *name == constraint).map(|(_, text)| *text)
}

/// Data exceptions: whatever the caller gave, the server can make nothing of it.
fn is_data_fault(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    code.is_some_and(|code| code.starts_with("22"))
}

/// Serialization failure, deadlock, lock timeout, and a statement that the server ended because of its time.
fn is_contended(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    code.is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03" | "57014"))
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        // What came is no answer of Postgres: its connection was closed while it was made, or something else answers there.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, too many connections, a server that starts or stops, a session ended for idling, and
        // one that only reads because another server has taken over.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57P")
                || matches!(&*code, "25P03" | "25006")
        }),
        _ => false,
    }
}
