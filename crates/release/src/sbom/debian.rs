//! Debian's packages as an image without a package manager names them: a file a package in `/var/lib/dpkg/status.d`,
//! beside it the files that came from it.

use std::collections::BTreeMap;

use super::files::Files;

const FOLDER: &str = "var/lib/dpkg/status.d/";
/// What the name of the list of a package's files ends in.
const LIST: &str = ".md5sums";
/// Where a distribution says what it is.
const RELEASE: &[&str] = &["usr/lib/os-release", "etc/os-release"];

/// The distribution that the packages are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distribution {
    /// Such as `debian`.
    pub(super) id: String,
    /// Such as `12`.
    pub(super) version: String,
    pub(super) name: String,
}

/// A package of which the image holds at least its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    /// The name of the source package, where that is another one.
    pub(super) source: Option<String>,
    /// Paths without the leading `/`.
    pub(super) files: Vec<String>,
}

/// The packages by name.
pub(super) fn packages(files: &Files) -> Vec<Package> {
    let records = files.iter().filter_map(|(path, file)| {
        let name = path.strip_prefix(FOLDER)?;
        Some((name, file.text.as_deref()?)).filter(|(name, _)| !name.ends_with(LIST))
    });
    let list = |name: &str| files.get(&format!("{FOLDER}{name}{LIST}")).and_then(|it| it.text.as_deref());
    records.filter_map(|(name, text)| package(text, list(name).unwrap_or_default())).collect()
}

/// The distribution, where the image says.
pub(super) fn distribution(files: &Files) -> Option<Distribution> {
    let text = RELEASE.iter().find_map(|it| files.get(it)?.text.as_deref())?;
    let fields: BTreeMap<&str, &str> = text.lines().filter_map(|it| it.split_once('=')).collect();
    let field = |name: &str| fields.get(name).map(|it| it.trim_matches('"').to_owned());
    let (id, version) = (field("ID")?, field("VERSION_ID")?);
    let name = field("PRETTY_NAME").unwrap_or_else(|| id.clone());
    Some(Distribution { id, version, name })
}

/// Whether a path is a part of the record of what is installed.
pub(super) fn is_record(path: &str) -> bool {
    path.starts_with(FOLDER)
}

fn package(record: &str, list: &str) -> Option<Package> {
    let field = |name: &str| {
        let mut fields = record.lines().filter_map(|it| it.split_once(": "));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned())
    };
    let source = field("Source").and_then(|it| it.split(' ').next().map(str::to_owned));
    let files = list.lines().filter_map(|it| it.split_once("  "));
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        source,
        files: files.map(|(_, path)| path.trim_start_matches('/').to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_from_its_record_and_its_list() {
        let record = "Package: libgcc-s1\nStatus: install ok installed\nSource: gcc-12 (12.2)\nVersion: 12.2.0-14+deb12u1\n\
                      Architecture: amd64\nDescription: GCC support library\n Shared: version of it\n";
        let package = package(record, "d41d8cd9  lib/x/libgcc_s.so.1\n").unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("libgcc-s1", "12.2.0-14+deb12u1"));
        assert_eq!(package.source.as_deref(), Some("gcc-12"));
        assert_eq!(package.files, ["lib/x/libgcc_s.so.1"]);
    }
}
