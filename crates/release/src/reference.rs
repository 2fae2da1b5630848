//! Names of images: `registry/path`, with a tag, a digest, or both.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// How long the specification lets a tag be.
const TAG_MAX: usize = 128;
/// How long registries let a path be.
const PATH_MAX: usize = 255;

/// A repository on a registry, such as `registry.example/team/gateway`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    /// Invariant: a host, with a port where one is given.
    registry: String,
    /// Invariant: components of lower-case letters, digits and separators between them.
    path: String,
}

/// A tag, such as `v1.4.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// An image's name as people write it. With a tag and a digest, the digest decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Where it lies.
    pub repository: Repository,
    /// What it is called there.
    pub tag: Option<Tag>,
    /// What it is.
    pub digest: Option<Digest>,
}

/// Which manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The one that a tag names now.
    Tag(Tag),
    /// This very one.
    Digest(Digest),
}

/// A name that names no image.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` names no image: {why}")]
pub struct NoReference {
    text: String,
    why: &'static str,
}

impl Repository {
    /// The host, with its port where one was given.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the host, without slashes around it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// This manifest of the repository, as podman takes it.
    #[must_use]
    pub fn at_digest(&self, digest: &Digest) -> Reference {
        Reference { repository: self.clone(), tag: None, digest: Some(digest.clone()) }
    }

    /// The manifest that the tag names.
    #[must_use]
    pub fn at_tag(&self, tag: &Tag) -> Reference {
        Reference { repository: self.clone(), tag: Some(tag.clone()), digest: None }
    }
}

impl Tag {
    /// The tag under which documents about a manifest are kept: its digest with a dash, and `.sig` or the like.
    pub(crate) fn of_digest(digest: &Digest, suffix: &str) -> Self {
        Self(format!("sha256-{}{suffix}", digest.hex()))
    }

    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reference {
    /// What the name asks for: the digest where it has one, else the tag.
    #[must_use]
    pub fn at(&self) -> Option<At> {
        let digest = self.digest.clone().map(At::Digest);
        digest.or_else(|| self.tag.clone().map(At::Tag))
    }
}

impl FromStr for Repository {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let refused = |why| Err(NoReference { text: text.to_owned(), why });
        let Some((registry, path)) = text.split_once('/') else {
            return refused("it lacks the registry: write `registry.example/path`");
        };
        if !is_host(registry) {
            return refused(
                "its first part is no host: write `registry.example/path` or `localhost:5000/path`",
            );
        }
        if path.len() > PATH_MAX || !path.split('/').all(is_component) {
            return refused(
                "a path has lower-case letters and digits, with `.`, `_`, `__` or `-` between them",
            );
        }
        Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
    }
}

impl FromStr for Tag {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let begins = text.bytes().next().is_some_and(is_word);
        if begins && text.len() <= TAG_MAX && text.bytes().all(|it| is_word(it) || it == b'.' || it == b'-') {
            return Ok(Self(text.to_owned()));
        }
        let why =
            "a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two";
        Err(NoReference { text: text.to_owned(), why })
    }
}

impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let why = "what follows `@` is no digest: `sha256:` and 64 hexadecimal digits";
                let digest = digest.parse().map_err(|_| NoReference { text: text.to_owned(), why })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash is a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.parse()?)),
            _ => (name, None),
        };
        Ok(Self { repository: name.parse()?, tag, digest })
    }
}

/// A host that can only be one: it has a dot, a port, or is `localhost`, as podman and docker tell it from a path.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|it| it != 0);
    let is_address = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let bracketed = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_name = bracketed.map_or_else(|| name.split('.').all(is_label), is_address);
    let is_told = port.is_some() || name.contains('.') || bracketed.is_some() || name == "localhost";
    is_name && is_told && port.is_none_or(is_port)
}

fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_well = text.bytes().next().is_some_and(is_plain) && text.bytes().last().is_some_and(is_plain);
    let separators = text.split(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit());
    let is_separator = |it: &str| matches!(it, "" | "." | "_" | "__") || it.bytes().all(|it| it == b'-');
    ends_well && separators.into_iter().all(is_separator)
}

macro_rules! text_both_ways {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = NoReference;

            fn try_from(text: String) -> Result<Self, NoReference> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(it: $type) -> Self {
                it.to_string()
            }
        }
    };
}

text_both_ways!(Repository);
text_both_ways!(Tag);

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, registry: &str, path: &str, tag: Option<&str>) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.repository.registry(), registry);
        assert_eq!(reference.repository.path(), path);
        assert_eq!(reference.tag.as_ref().map(Tag::as_str), tag);
        assert_eq!(reference.to_string(), text);
    }

    #[test]
    fn a_name_is_taken_apart_and_put_together_again() {
        let digest = Digest::of(b"");
        check("registry.example/gateway", "registry.example", "gateway", None);
        check("localhost:5000/team/gate-way:v1.4.0", "localhost:5000", "team/gate-way", Some("v1.4.0"));
        check("[::1]:5000/a__b.c:latest", "[::1]:5000", "a__b.c", Some("latest"));
        check(&format!("localhost/a:b@{digest}"), "localhost", "a", Some("b"));
        assert_eq!(format!("h.x/a@{digest}").parse::<Reference>().unwrap().at(), Some(At::Digest(digest)));
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        insta::assert_snapshot!(refused("gateway"), @"`gateway` names no image: it lacks the registry: write `registry.example/path`");
        insta::assert_snapshot!(refused("team/gateway"), @"`team/gateway` names no image: its first part is no host: write `registry.example/path` or `localhost:5000/path`");
        insta::assert_snapshot!(refused("a.b/Gateway"), @"`a.b/Gateway` names no image: a path has lower-case letters and digits, with `.`, `_`, `__` or `-` between them");
        insta::assert_snapshot!(refused("a.b/c:.d"), @"`.d` names no image: a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two");
        insta::assert_snapshot!(refused("a.b/c@sha256:1"), @"`a.b/c@sha256:1` names no image: what follows `@` is no digest: `sha256:` and 64 hexadecimal digits");
        for text in
            ["a.b/c/../d", "a.b/c//d", "a.b/", "a.b:0/c", "-.b/c", "a.b/c___d", "a.b/c?x", "user@a.b/c"]
        {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
