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
    /// In which part of the request it is; the body where nothing is said.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Where it is there: a JSON pointer (RFC 6901) such as `/images/gateway` into the body, or such as `/limit` into what is
    /// named in the other parts.
    pub pointer: String,
    /// What is wrong with it, and what it may hold.
    pub detail: String,
}

/// A part of a request besides its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The query's parameters.
    Query,
    /// The headers.
    Header,
    /// The path's variables.
    Path,
}
