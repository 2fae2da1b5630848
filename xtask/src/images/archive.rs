//! Images as podman saves them: an archive of archives, read where it lies and written anew.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const BLOCK: u64 = 512;
/// The longest name that a header holds.
const NAME_MAX: usize = 100;
/// What lists the images of an archive.
const LIST: &str = "manifest.json";

/// What kind of thing a file of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    Folder,
    Other,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Without a leading `/` or `./`.
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) modified_s: u64,
    /// What a link leads to.
    pub(super) leads_to: String,
    pub(super) size: u64,
    /// Where its bytes begin in the file that it was read from.
    pub(super) at: u64,
}

/// One image of a saved archive.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    /// Its configuration as it is.
    pub(super) config: Value,
    /// The layers' names in the archive, the lowest first.
    pub(super) layers: Vec<String>,
}

/// What `podman save --format=docker-archive` wrote.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    /// Where each file lies in it, by name.
    files: BTreeMap<String, Entry>,
    pub(super) images: Vec<Saved>,
}

/// An image of an archive to be.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) reference: String,
    pub(super) config: Vec<u8>,
    pub(super) layers: &'a [String],
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    /// # Errors
    /// When the file is not what podman saves.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut file = File::open(path).with_context(|| format!("cannot read `{shown}`"))?;
        let end = file.metadata().with_context(|| format!("cannot read `{shown}`"))?.len();
        let files = entries(&mut file, 0, end).with_context(|| format!("cannot read `{shown}`"))?;
        let files = files.into_iter().map(|it| (it.path.clone(), it)).collect();
        let mut archive = Self { path: path.to_owned(), files, images: Vec::new() };
        let listed: Vec<Listed> = serde_json::from_slice(&archive.whole(LIST)?)
            .with_context(|| format!("`{shown}` lists no images"))?;
        for image in listed {
            let config = serde_json::from_slice(&archive.whole(&image.config)?)
                .context("an image's configuration cannot be read")?;
            archive.images.push(Saved { config, layers: image.layers });
        }
        Ok(archive)
    }

    /// The files of a layer.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn layer(&self, name: &str) -> anyhow::Result<Vec<Entry>> {
        let layer = self.file(name)?;
        let mut file = File::open(&self.path).context("the saved images are gone")?;
        entries(&mut file, layer.at, layer.at + layer.size).context("a layer cannot be read")
    }

    /// Bytes of a layer.
    pub(super) fn size(&self, name: &str) -> u64 {
        self.files.get(name).map_or(0, |it| it.size)
    }

    /// The first bytes of a file of a layer, `most` at most.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn content(&self, entry: &Entry, most: u64) -> anyhow::Result<Vec<u8>> {
        let mut file = File::open(&self.path).context("the saved images are gone")?;
        file.seek(SeekFrom::Start(entry.at)).context("a layer cannot be read")?;
        let mut bytes = Vec::new();
        file.take(entry.size.min(most)).read_to_end(&mut bytes).context("a layer cannot be read")?;
        Ok(bytes)
    }

    /// Writes an archive of these images, whose layers are this one's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, path: &Path, images: &[Written<'_>]) -> anyhow::Result<()> {
        let failed = || format!("cannot write `{}`", path.display());
        let mut source = File::open(&self.path).context("the saved images are gone")?;
        let mut out = io::BufWriter::new(File::create(path).with_context(failed)?);
        let mut layers: Vec<&String> = images.iter().flat_map(|it| it.layers).collect();
        layers.sort();
        layers.dedup();
        for name in layers {
            let layer = self.file(name)?;
            source.seek(SeekFrom::Start(layer.at)).context("a layer cannot be read")?;
            put(&mut out, name, layer.size, &mut (&mut source).take(layer.size)).with_context(failed)?;
        }
        let mut list = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let config = format!("{index}.json");
            put(&mut out, &config, image.config.len() as u64, &mut image.config.as_slice())
                .with_context(failed)?;
            let repo_tags = Some(vec![image.reference.clone()]);
            list.push(Listed { config, repo_tags, layers: image.layers.to_vec() });
        }
        let list = serde_json::to_vec(&list).context("cannot spell the images")?;
        put(&mut out, LIST, list.len() as u64, &mut list.as_slice()).with_context(failed)?;
        out.write_all(&[0; 2 * BLOCK as usize]).and_then(|()| out.flush()).with_context(failed)
    }

    /// A file of the archive; podman links layers that images share.
    fn file(&self, name: &str) -> anyhow::Result<&Entry> {
        let entry = self.files.get(name);
        match entry.filter(|it| it.kind == Kind::Link).map(|it| it.leads_to.trim_start_matches("../")) {
            Some(other) => self.files.get(other),
            None => entry,
        }
        .with_context(|| format!("the saved images lack `{name}`"))
    }

    fn whole(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        self.content(self.file(name)?, u64::MAX)
    }
}

/// The entries between two places of a file.
fn entries(file: &mut File, from: u64, end: u64) -> anyhow::Result<Vec<Entry>> {
    let mut found = Vec::new();
    let (mut at, mut long, mut long_target) = (from, None::<String>, None::<String>);
    let mut header = [0_u8; BLOCK as usize];
    while at + BLOCK <= end {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut header)?;
        if header.iter().all(|it| *it == 0) {
            break;
        }
        let size = number(&header[124..136]);
        let content = at + BLOCK;
        let next = content + size.div_ceil(BLOCK) * BLOCK;
        if next > end + BLOCK {
            bail!("it ends in the middle of a file");
        }
        let mut body = || -> anyhow::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            Read::by_ref(file).take(size).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match header[156] {
            b'x' => {
                let records = extended(&body()?);
                long = records.get("path").cloned();
                long_target = records.get("linkpath").cloned();
            }
            b'L' => long = Some(text(&body()?)),
            b'K' => long_target = Some(text(&body()?)),
            b'g' => {}
            kind => found.push(Entry {
                path: bare(&long.take().unwrap_or_else(|| name(&header))).into(),
                kind: match kind {
                    b'0' | 0 => Kind::File,
                    b'1' | b'2' => Kind::Link,
                    b'5' => Kind::Folder,
                    _ => Kind::Other,
                },
                mode: u32::try_from(number(&header[100..108])).unwrap_or_default(),
                owner: (number(&header[108..116]), number(&header[116..124])),
                modified_s: number(&header[136..148]),
                leads_to: long_target.take().unwrap_or_else(|| text(&header[157..257])),
                size,
                at: content,
            }),
        }
        at = next;
    }
    Ok(found)
}

/// A path without the `./` or `/` that it may begin with.
fn bare(path: &str) -> &str {
    path.strip_prefix("./").unwrap_or(path).trim_start_matches('/')
}

/// A name that may be cut in two.
fn name(header: &[u8]) -> String {
    let (prefix, name) = (text(&header[345..500]), text(&header[..NAME_MAX]));
    let is_ustar = header[257..262] == *b"ustar";
    if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// `30 path=some/name` and the like, a line each.
fn extended(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let pair = |line: &str| line.split_once(' ')?.1.split_once('=').map(|(k, v)| (k.into(), v.into()));
    text.lines().filter_map(pair).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|it| *it == 0).next().unwrap_or_default()).into_owned()
}

/// Octal digits, or the number itself where those would not do.
fn number(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field[1..].iter().fold(0, |sum, it| (sum << 8) | u64::from(*it));
    }
    u64::from_str_radix(text(field).trim(), 8).unwrap_or_default()
}

/// Writes one file that says nothing of who wrote it, and when.
fn put(out: &mut impl Write, name: &str, size: u64, content: &mut impl Read) -> anyhow::Result<()> {
    let mut header = [0_u8; BLOCK as usize];
    if name.len() > NAME_MAX {
        bail!("`{name}` is too long for a name");
    }
    let fields = [
        (0, name.to_owned()),
        (100, "0000644".into()),
        (108, "0000000".into()),
        (116, "0000000".into()),
        (124, format!("{size:011o}")),
        (136, "00000000000".into()),
        (148, "        ".into()),
        (156, "0".into()),
        (257, "ustar\0".into()),
        (263, "00".into()),
    ];
    for (at, value) in fields {
        header[at..at + value.len()].copy_from_slice(value.as_bytes());
    }
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)?;
    if io::copy(content, out)? != size {
        bail!("a layer ends too early");
    }
    let rest = size.next_multiple_of(BLOCK) - size;
    out.write_all(&vec![0; usize::try_from(rest)?])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// An archive of one image with one layer of what lies in a folder.
    fn saved(folder: &Path) -> PathBuf {
        let tar = |arguments: &[&str]| {
            assert!(Command::new("tar").current_dir(folder).args(arguments).status().unwrap().success());
        };
        tar(&["--create", "--file=layer.tar", "--owner=7", "--group=8", "--directory=root", "."]);
        fs::write(folder.join("c.json"), r#"{"config":{"User":"1"}}"#).unwrap();
        fs::write(folder.join(LIST), r#"[{"Config":"c.json","RepoTags":null,"Layers":["layer.tar"]}]"#)
            .unwrap();
        tar(&["--create", "--file=image.tar", "layer.tar", "c.json", LIST]);
        folder.join("image.tar")
    }

    #[test]
    fn what_a_layer_holds_is_read_with_names_of_every_length_and_written_anew_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("a/{}/{}", "b".repeat(90), "c".repeat(150));
        let path = folder.path().join("root").join(&long);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "content").unwrap();
        std::os::unix::fs::symlink("/usr/bin/x", folder.path().join("root/link")).unwrap();
        let archive = Archive::open(&saved(folder.path())).unwrap();
        let layer = archive.layer("layer.tar").unwrap();
        let file = layer.iter().find(|it| it.path == long).unwrap();
        assert_eq!((file.kind, file.owner, file.size), (Kind::File, (7, 8), 7));
        assert_eq!(archive.content(file, 4).unwrap(), b"cont");
        let link = layer.iter().find(|it| it.path == "link").unwrap();
        assert_eq!((link.kind, link.leads_to.as_str()), (Kind::Link, "/usr/bin/x"));

        let again = folder.path().join("again.tar");
        let written = Written {
            reference: "localhost/x:1".into(),
            config: br#"{"config":{"User":"2"}}"#.to_vec(),
            layers: &archive.images[0].layers,
        };
        archive.write(&again, &[written]).unwrap();
        let again = Archive::open(&again).unwrap();
        assert_eq!(again.images[0].config["config"]["User"], "2");
        let without_place = |mut it: Entry| {
            it.at = 0;
            it
        };
        let layers = [archive.layer("layer.tar").unwrap(), again.layer("layer.tar").unwrap()];
        let [one, other] = layers.map(|it| it.into_iter().map(without_place).collect::<Vec<_>>());
        assert_eq!(one, other);
    }
}
