//! The forms of versions, commits, names and image references, checked before the record is asked.
//!
//! The schema holds the same rules; here they are told with the field that breaks them.

use service::Problem;
use store::releases::Image;

/// As long as a name may be in the schema.
const NAME_LENGTH_MAX: usize = 63;
/// Longer than any version that people write.
const VERSION_LENGTH_MAX: usize = 128;

/// A version in the form `1.4.0` or `1.4.0-rc.1`.
pub(crate) fn version(field: &str, text: &str) -> Result<(), Problem> {
    let (core, pre_release) = text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |it: &&str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    let in_pre_release = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let holds = text.len() <= VERSION_LENGTH_MAX
        && numbers.len() == 3
        && numbers.iter().all(is_number)
        && pre_release.is_none_or(|it| !it.is_empty() && it.bytes().all(in_pre_release));
    if holds { Ok(()) } else { refuse(field, "expected a semantic version such as `1.4.0` or `1.4.0-rc.1`") }
}

/// A full commit.
pub(crate) fn commit(field: &str, text: &str) -> Result<(), Problem> {
    let holds = matches!(text.len(), 40 | 64) && is_lower_hex(text);
    if holds { Ok(()) } else { refuse(field, "expected a full commit of 40 or 64 lower-case hex digits") }
}

/// The name of a service or an environment.
pub(crate) fn name(field: &str, text: &str) -> Result<(), Problem> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let holds = (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(plain);
    if holds {
        Ok(())
    } else {
        refuse(field, "expected up to 63 lower-case letters, digits and hyphens, a letter first")
    }
}

/// An image by digest: `registry.example.org/slipway/gateway@sha256:…`.
pub(crate) fn image(field: &str, service: &str, reference: &str) -> Result<Image, Problem> {
    let parts = reference.split_once('@').filter(|(repository, digest)| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let printable = repository.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        !repository.is_empty() && printable && hex.len() == 64 && is_lower_hex(hex)
    });
    let wanted =
        "expected an image by digest such as `registry.example.org/slipway/gateway@sha256:…` (64 hex digits)";
    let (repository, digest) = parts.ok_or_else(|| Problem::invalid(field, wanted))?;
    Ok(Image { service: service.to_owned(), repository: repository.to_owned(), digest: digest.to_owned() })
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn refuse(field: &str, wanted: &str) -> Result<(), Problem> {
    Err(Problem::invalid(field, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_semantic() {
        for good in ["0.1.0", "1.4.0", "10.20.30-rc.1", "1.0.0-a-b"] {
            assert!(version("version", good).is_ok(), "{good}");
        }
        for bad in ["", "1.4", "v1.4.0", "1.4.0.1", "1.4.x", "1.4.0-", "1.4.0+build", "1..0", "1.4.0\n"] {
            assert!(version("version", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_are_named_by_digest_never_by_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image_of = |reference: &str| image("images.web", "web", reference);
        assert_eq!(
            image_of(&format!("localhost:5000/x/web@{digest}")).unwrap().repository,
            "localhost:5000/x/web"
        );
        for bad in
            ["x/web:latest", "x/web", &digest, &format!("@{digest}"), "x/web@sha256:abc", "x/web@sha512:0"]
        {
            assert_eq!(image_of(bad).unwrap_err().errors[0].pointer, "images.web", "{bad}");
        }
    }
}
