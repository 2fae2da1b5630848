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
        if is_unavailable(&error) { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

fn meaning_of(constraint: &str) -> Option<&'static str> {
    CONSTRAINTS.iter().find(|(name, _)| *name == constraint).map(|(_, text)| *text)
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, too many connections, and a server that starts or stops.
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| code.starts_with("08") || code.starts_with("53") || code.starts_with("57P")),
        _ => false,
    }
}
