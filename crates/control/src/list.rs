//! Lists a page at a time: `limit` says how many, `cursor` where the last page ended.

use api::Page;
use axum::Json;
use axum::http::Uri;
use axum::http::header::{HeaderValue, LINK};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use service::Problem;
use service::problem::{FieldError, Part};
use store::{PageSize, Position};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::refusal;

/// What a list is asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) limit: Option<String>,
    pub(crate) cursor: Option<String>,
}

/// Where a page ended, as a text that nobody else needs to understand.
pub(crate) trait Cursor: Sized {
    /// What tells it from cursors of another form.
    const KIND: &'static str;

    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

impl Asked {
    /// Size and place of the page that is asked for.
    pub(crate) fn read<C: Cursor>(&self) -> Result<(PageSize, Option<C>), Problem> {
        let mut faults = Vec::new();
        let asked = self.collect(&mut faults);
        if faults.is_empty() { Ok(asked) } else { Err(refusal::invalid(faults)) }
    }

    /// The same, for who has more to read from the query; what is wrong is added to the faults.
    pub(crate) fn collect<C: Cursor>(&self, faults: &mut Vec<FieldError>) -> (PageSize, Option<C>) {
        let size = match self.limit.as_deref().map(str::parse::<u32>) {
            None => PageSize::clamped(api::LIMIT_DEFAULT),
            Some(Ok(limit)) if (1..=api::LIMIT_MAX).contains(&limit) => PageSize::clamped(limit),
            Some(_) => {
                let detail = format!("expected a whole number from 1 to {}", api::LIMIT_MAX);
                faults.push(FieldError::named(Part::Query, "limit", detail));
                PageSize::default()
            }
        };
        let cursor = self.cursor.as_deref().map(decode::<C>);
        if cursor.as_ref().is_some_and(Option::is_none) {
            let detail = "expected what `next` of a page of this list said";
            faults.push(FieldError::named(Part::Query, "cursor", detail));
        }
        (size, cursor.flatten())
    }
}

/// The page as an answer, each item as it is shown, with a link to the next one.
pub(crate) fn page<S, T: Serialize, C: Cursor>(
    uri: &Uri,
    page: store::Page<S, C>,
    shown: impl Fn(S) -> T,
) -> Response {
    let items: Vec<T> = page.items.into_iter().map(shown).collect();
    let next = page.next.as_ref().map(encode);
    let link = next.as_deref().and_then(|next| link(uri, next));
    let mut response = Json(Page { items, next }).into_response();
    response.headers_mut().extend(link.map(|link| (LINK, link)));
    response
}

fn encode<C: Cursor>(cursor: &C) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", C::KIND, cursor.write()))
}

fn decode<C: Cursor>(text: &str) -> Option<C> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    C::read(text.strip_prefix(C::KIND)?.strip_prefix(':')?)
}

/// `</v1/releases?limit=2&cursor=…>; rel="next"`: what was asked, but for where the page begins.
fn link(uri: &Uri, next: &str) -> Option<HeaderValue> {
    let query = uri.query().unwrap_or_default();
    let mut kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")).collect();
    let cursor = format!("cursor={next}");
    kept.push(&cursor);
    HeaderValue::try_from(format!("<{}?{}>; rel=\"next\"", uri.path(), kept.join("&"))).ok()
}

impl Cursor for Position {
    const KIND: &'static str = "t";

    fn write(&self) -> String {
        format!("{}:{}", self.at.unix_timestamp_nanos(), self.id)
    }

    fn read(text: &str) -> Option<Self> {
        let (at, id) = text.split_once(':')?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(at.parse().ok()?).ok()?;
        Some(Self { at, id: Uuid::parse_str(id).ok()? })
    }
}

/// A number that grows.
impl Cursor for i64 {
    const KIND: &'static str = "n";

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A name.
impl Cursor for String {
    const KIND: &'static str = "a";

    fn write(&self) -> String {
        self.clone()
    }

    fn read(text: &str) -> Option<Self> {
        (!text.contains('\0')).then(|| text.to_owned())
    }
}
