//! CycloneDX 1.5 as far as images need it; what a field means stands in its specification.

use serde::Serialize;

/// A document. Its fields are in one order, so the same parts give the same bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bom {
    #[serde(rename = "$schema")]
    pub(super) schema: &'static str,
    pub(super) bom_format: &'static str,
    pub(super) spec_version: &'static str,
    pub(super) serial_number: String,
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    pub(super) components: Vec<Component>,
    pub(super) dependencies: Vec<Dependency>,
}

impl Bom {
    /// The document's text, ending in a line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and numbers under names can always be spelled.
        serde_json::to_string_pretty(self).map(|it| it + "\n").unwrap_or_default()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    pub(super) tools: Tools,
    pub(super) component: Component,
}

#[derive(Debug, Serialize)]
pub(super) struct Tools {
    pub(super) components: Vec<Component>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Component {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(rename = "bom-ref")]
    pub(super) reference: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<Scope>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) components: Vec<Component>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Application,
    Container,
    File,
    Library,
    OperatingSystem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scope {
    Required,
    /// Ran during the build, and is not in the image.
    Excluded,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    #[serde(rename = "ref")]
    pub(super) of: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) depends_on: Vec<String>,
}

impl Component {
    pub(super) fn new(kind: Kind, reference: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            reference: reference.into(),
            name: name.into(),
            version: None,
            scope: None,
            hashes: Vec::new(),
            purl: None,
            properties: Vec::new(),
            components: Vec::new(),
        }
    }

    pub(super) fn version(self, version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..self }
    }

    /// With the SHA-256 of its bytes.
    pub(super) fn sha256(self, hex: &str) -> Self {
        Self { hashes: vec![Hash { alg: "SHA-256", content: hex.to_owned() }], ..self }
    }

    pub(super) fn property(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.properties.push(Property { name, value: value.into() });
        self
    }
}
