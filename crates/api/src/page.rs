//! Lists a page at a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many items a page holds, where `limit` does not say.
pub const LIMIT_DEFAULT: u32 = 50;

/// The greatest `limit`.
pub const LIMIT_MAX: u32 = 100;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What the page holds.
    pub items: Vec<T>,
    /// The next page's `cursor`, which nobody needs to understand; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
