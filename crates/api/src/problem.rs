//! How a failed request is answered: problem details as RFC 9457 has them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request failed (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, as a URI reference.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The answer's status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The kind of problem, for programs: snake case, never changed once published.
    pub code: String,
    /// Under which the logs tell more.
    pub request_id: String,
    /// Every field of the request that is at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One field of a request that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where it is: a JSON pointer into the body (`/images/gateway`), or the name of a query parameter or header.
    pub pointer: String,
    /// What is wrong with it, and what it may hold.
    pub detail: String,
}
