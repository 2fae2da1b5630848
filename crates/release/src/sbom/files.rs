//! The files of an image: layers one over the other, with what later ones take away.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use sha2::{Digest as _, Sha256};

use super::{
    SbomError,
    program::{self, Program},
};

/// What a layer calls a file of a lower one that it takes away, and a folder whose lower files it hides.
const GONE: &str = ".wh.";
const HIDES: &str = ".wh..wh..opq";
/// Files whose text is read besides: what package they are of, which distribution this is.
const READ: &[&str] = &["var/lib/dpkg/status.d/", "usr/lib/os-release", "etc/os-release"];

/// One file as the image shows it.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) sha256: String,
    pub(super) program: Option<Program>,
    /// For the few that say something about the others.
    pub(super) text: Option<String>,
}

/// All plain files, by path without the leading `/`. Links are ways to them, not parts.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, File>);

impl Files {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }

    /// Lays an unpacked layer over what is there.
    pub(super) fn lay(&mut self, layer: impl Read) -> Result<(), LayError> {
        let mut archive = tar::Archive::new(layer);
        let mut added = BTreeMap::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = plain(&entry.path()?.to_string_lossy());
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == HIDES {
                self.remove_below(folder);
            } else if let Some(name) = name.strip_prefix(GONE) {
                let gone = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                self.remove(&gone);
            } else if entry.header().entry_type().is_hard_link() {
                let target = entry.link_name()?.map(|it| plain(&it.to_string_lossy())).unwrap_or_default();
                if let Some(file) = added.get(&target).or_else(|| self.0.get(&target)).cloned() {
                    added.insert(path, file);
                }
            } else if entry.header().entry_type().is_dir() {
                // A folder takes the place of a file.
                self.0.remove(&path);
            } else {
                self.remove(&path);
                if entry.header().entry_type().is_file() {
                    let file = File::read(&path, &mut entry)?;
                    added.insert(path, file);
                }
            }
        }
        self.0.append(&mut added);
        Ok(())
    }

    fn remove(&mut self, path: &str) {
        self.0.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, folder: &str) {
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.0.retain(|path, _| !path.starts_with(&below));
    }
}

/// Why a layer cannot be read.
#[derive(Debug)]
pub(super) enum LayError {
    Read(io::Error),
    Sbom(SbomError),
}

impl From<io::Error> for LayError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<SbomError> for LayError {
    fn from(error: SbomError) -> Self {
        Self::Sbom(error)
    }
}

impl File {
    /// Only what is looked into is held in memory: other files may be of any size.
    fn read(path: &str, content: &mut impl Read) -> Result<Self, LayError> {
        let wanted = READ.iter().any(|it| path.starts_with(it));
        let mut bytes = vec![0; program::MAGIC.len()];
        let begun = read_some(content, &mut bytes)?;
        bytes.truncate(begun);
        if !wanted && bytes != program::MAGIC {
            let mut hashed = Hashed::of(bytes.as_slice().chain(content));
            io::copy(&mut hashed, &mut io::sink())?;
            return Ok(Self { sha256: hashed.hex(), program: None, text: None });
        }
        content.read_to_end(&mut bytes)?;
        Ok(Self {
            sha256: hex(&Sha256::digest(&bytes)),
            program: Program::of(path, &bytes)?,
            text: wanted.then(|| String::from_utf8_lossy(&bytes).into_owned()),
        })
    }
}

/// Hashes what goes through.
pub(super) struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    pub(super) fn of(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    /// The hash of all that went through.
    pub(super) fn hex(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// As much as there is, up to the buffer's length.
pub(super) fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `./usr/bin/` and `/usr/bin` are `usr/bin`.
fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn shown(layers: &[&[(&str, &str)]]) -> String {
        let mut files = Files::default();
        for entries in layers {
            files.lay(layer(entries).as_slice()).unwrap();
        }
        files.iter().map(|(path, _)| path).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_later_layer_takes_away_is_no_part_of_the_image() {
        let lower: &[_] =
            &[("etc/a", "1"), ("etc/b", "2"), ("etc/sub/c", "3"), ("srv/d", "4"), ("srv/e", "5")];
        assert_eq!(shown(&[lower]), "etc/a etc/b etc/sub/c srv/d srv/e");
        assert_eq!(shown(&[lower, &[("etc/.wh.sub", ""), ("etc/.wh.a", "")]]), "etc/b srv/d srv/e");
        assert_eq!(
            shown(&[lower, &[("./srv/.wh..wh..opq", ""), ("./srv/f", "6")]]),
            "etc/a etc/b etc/sub/c srv/f"
        );
    }

    #[test]
    fn a_file_is_known_by_its_own_bytes_in_the_topmost_layer() {
        let mut files = Files::default();
        for content in ["old", "new"] {
            files.lay(layer(&[("a", content)]).as_slice()).unwrap();
        }
        assert_eq!(files.get("a").unwrap().sha256, hex(&Sha256::digest(b"new")));
    }
}
