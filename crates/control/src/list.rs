//! Lists a page at a time: `?limit=` says how many, `?before=` where the last page ended.

use serde::{Deserialize, Serialize};
use service::Problem;
use store::{Page, PageSize};

/// What a list is asked with; a limit beyond what a page may hold gives as much as it may hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) limit: Option<String>,
    pub(crate) before: Option<String>,
}

/// One page in an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<T> {
    items: Vec<T>,
    /// The next page's `before`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Asked {
    pub(crate) fn size(&self) -> Result<PageSize, Problem> {
        match &self.limit {
            None => Ok(PageSize::default()),
            Some(text) => match text.parse() {
                Ok(limit) if limit > 0 => Ok(PageSize::clamped(limit)),
                _ => Err(Problem::invalid("limit", "expected a whole number of at least 1")),
            },
        }
    }

    pub(crate) fn before<C: std::str::FromStr>(&self) -> Result<Option<C>, Problem> {
        let refuse = |_| Problem::invalid("before", "expected what `next` of the page before said");
        self.before.as_deref().map(str::parse).transpose().map_err(refuse)
    }
}

impl<T> Listed<T> {
    pub(crate) fn page<S: Into<T>, C: ToString>(page: Page<S, C>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }

    pub(crate) fn all(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
