//! The forms of versions, commits, names, references and keys, checked before the record is asked.
//!
//! The schema holds the same rules; here they are told with the field that breaks them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use service::problem::{FieldError, pointer};
use store::releases::Image;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::fields::{kind, text};

/// As long as a name may be in the schema.
const NAME_LENGTH_MAX: usize = 63;
/// Longer than any version that people write.
const VERSION_LENGTH_MAX: usize = 128;
/// As long as a note may be in the schema, in characters.
const NOTE_LENGTH_MAX: usize = 2000;
/// As long as a reference may be in the schema, in characters.
const EVIDENCE_LENGTH_MAX: usize = 2048;
/// As many services as a release or an environment has at most.
const SERVICES_MAX: usize = 256;

/// A version in the form `1.4.0` or `1.4.0-rc.1`.
pub(crate) fn version(text: &str) -> Result<String, String> {
    let (core, pre_release) = text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |it: &&str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    let in_pre_release = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let holds = text.len() <= VERSION_LENGTH_MAX
        && numbers.len() == 3
        && numbers.iter().all(is_number)
        && pre_release.is_none_or(|it| !it.is_empty() && it.bytes().all(in_pre_release));
    given(holds.then_some(text), "expected a semantic version such as `1.4.0` or `1.4.0-rc.1`")
}

/// A full commit.
pub(crate) fn commit(text: &str) -> Result<String, String> {
    let holds = matches!(text.len(), 40 | 64) && is_lower_hex(text);
    given(holds.then_some(text), "expected a full commit of 40 or 64 lower-case hex digits")
}

/// The identifier of a key: a SHA-256.
pub(crate) fn sha256(text: &str) -> Result<String, String> {
    let holds = text.len() == 64 && is_lower_hex(text);
    given(holds.then_some(text), "expected 64 lower-case hex digits")
}

/// Where something lies that people and programs fetch.
pub(crate) fn evidence(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    let holds = (1..=EVIDENCE_LENGTH_MAX).contains(&length) && text.chars().all(|it| it.is_ascii_graphic());
    given(
        holds.then_some(text),
        "expected a URL or an artifact by digest: up to 2048 printable characters, no spaces",
    )
}

/// What people write to people.
pub(crate) fn note(text: &str) -> Result<String, String> {
    let holds = text.chars().count() <= NOTE_LENGTH_MAX && !text.contains('\0');
    given(holds.then_some(text), "expected up to 2000 characters")
}

/// The name of a service, an environment or a token.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let holds = (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(plain);
    given(holds.then_some(text), "expected up to 63 lower-case letters, digits and hyphens, a letter first")
}

/// A point in time.
pub(crate) fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "expected a time such as `2026-11-02T08:00:00Z` (RFC 3339)".to_owned())
}

/// An image by digest: `registry.example.org/slipway/gateway@sha256:…`.
pub(crate) fn image(service: &str, reference: &str) -> Result<Image, String> {
    let parts = reference.split_once('@').filter(|(repository, digest)| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let printable = repository.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        (1..=512).contains(&repository.len()) && printable && hex.len() == 64 && is_lower_hex(hex)
    });
    let wanted =
        "expected an image by digest such as `registry.example.org/slipway/gateway@sha256:…` (64 hex digits)";
    let (repository, digest) = parts.ok_or_else(|| wanted.to_owned())?;
    Ok(Image { service: service.to_owned(), repository: repository.to_owned(), digest: digest.to_owned() })
}

/// Per service its image.
pub(crate) fn images(value: Value, at: &str, faults: &mut Vec<FieldError>) -> Option<Vec<Image>> {
    let before = faults.len();
    let fault = |pointer: &str, detail: String| FieldError::body(pointer, detail);
    let Value::Object(fields) = value else {
        let wanted = "expected an object of services and their images";
        faults.push(fault(at, format!("{wanted}, found {}", kind(&value))));
        return None;
    };
    if fields.is_empty() || fields.len() > SERVICES_MAX {
        faults.push(fault(at, format!("expected 1 to {SERVICES_MAX} services and their images")));
    }
    let mut images = BTreeMap::new();
    for (service, reference) in fields {
        let here = pointer(at, &service);
        if let Err(wanted) = name(&service) {
            faults.push(fault(&here, format!("as the name of a service: {wanted}")));
        }
        images.extend(text(|text| image(&service, text))(reference, &here, faults).map(|it| (service, it)));
    }
    (faults.len() == before).then(|| images.into_values().collect())
}

/// The names of services, in any order.
pub(crate) fn services(value: Value, at: &str, faults: &mut Vec<FieldError>) -> Option<BTreeSet<String>> {
    let before = faults.len();
    let Value::Array(items) = value else {
        let detail = format!("expected an array of names, found {}", kind(&value));
        faults.push(FieldError::body(at, detail));
        return None;
    };
    if items.len() > SERVICES_MAX {
        let detail = format!("expected up to {SERVICES_MAX} services");
        faults.push(FieldError::body(at, detail));
    }
    let mut names = BTreeSet::new();
    for (position, item) in items.into_iter().enumerate() {
        let here = pointer(at, &position.to_string());
        let Some(service) = text(name)(item, &here, faults) else { continue };
        if !names.insert(service.clone()) {
            faults.push(FieldError::body(here, format!("`{service}` stands here twice")));
        }
    }
    (faults.len() == before).then_some(names)
}

/// What calls a request: letters, digits and punctuation.
pub(crate) fn idempotency_key(text: &str) -> Result<String, String> {
    let holds = (1..=api::IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    given(holds.then_some(text), "expected 1 to 255 printable ASCII characters")
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The text that is as wanted, or what is.
fn given(text: Option<&str>, wanted: &str) -> Result<String, String> {
    text.map(str::to_owned).ok_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_semantic() {
        for good in ["0.1.0", "1.4.0", "10.20.30-rc.1", "1.0.0-a-b"] {
            assert!(version(good).is_ok(), "{good}");
        }
        for bad in ["", "1.4", "v1.4.0", "1.4.0.1", "1.4.x", "1.4.0-", "1.4.0+build", "1..0", "1.4.0\n"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_are_named_by_digest_never_by_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let good = image("web", &format!("localhost:5000/x/web@{digest}")).unwrap();
        assert_eq!(good.repository, "localhost:5000/x/web");
        for bad in
            ["x/web:latest", "x/web", &digest, &format!("@{digest}"), "x/web@sha256:abc", "x/web@sha512:0"]
        {
            assert!(image("web", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_fault_of_an_object_is_told_with_its_place() {
        let mut faults = Vec::new();
        let body = serde_json::json!({ "a/b": 1, "web": "x/web:latest", "ok": format!("x@sha256:{}", "a".repeat(64)) });
        assert_eq!(images(body, "/images", &mut faults), None);
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/images/a~1b", "/images/a~1b", "/images/web"]);
    }
}
