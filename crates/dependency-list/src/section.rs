//! The section's bytes: JSON as cargo-auditable spells it, in a zlib stream.

use crate::tree::{Kind, Listed};

/// What deflate says of a block that is stored as it is, and how long one may be.
const BLOCK: usize = u16::MAX as usize;
/// The largest prime below two to the sixteenth, as Adler's checksum has it.
const ADLER: u32 = 65_521;

/// The list as it stands in a binary.
pub(crate) fn bytes(list: &[Listed]) -> Vec<u8> {
    zlib(json(list).as_bytes())
}

/// cargo allows nothing in names and versions that JSON would have to escape.
fn json(list: &[Listed]) -> String {
    let packages: Vec<String> = list.iter().map(package).collect();
    format!("{{\"packages\":[{}]}}", packages.join(","))
}

fn package(it: &Listed) -> String {
    let mut text = format!(r#"{{"name":"{}","version":"{}","source":"{}""#, it.name, it.version, it.source);
    if it.kind == Kind::Build {
        text += r#","kind":"build""#;
    }
    if !it.dependencies.is_empty() {
        let places: Vec<String> = it.dependencies.iter().map(usize::to_string).collect();
        text += &format!(r#","dependencies":[{}]"#, places.join(","));
    }
    if it.root {
        text += r#","root":true"#;
    }
    text + "}"
}

/// A stream whose blocks are stored: some kilobytes more than compressed ones, and no compressor to compile.
fn zlib(content: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = content.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        stream.push(u8::from(blocks.peek().is_none()));
        // `BLOCK` is what fits.
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(content).to_be_bytes());
    stream
}

fn adler32(content: &[u8]) -> u32 {
    let (low, high) = content.iter().fold((1_u32, 0_u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % ADLER;
        (low, (high + low) % ADLER)
    });
    (high << 16) | low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, kind: Kind, dependencies: Vec<usize>) -> Listed {
        let (name, version) = (name.to_owned(), "1.2.3-rc.1+x".to_owned());
        Listed { name, version, source: "crates.io", kind, dependencies, root: kind == Kind::Linked }
    }

    #[test]
    fn a_list_is_what_scanners_read() {
        let list = [listed("edge", Kind::Linked, vec![1]), listed("cc", Kind::Build, vec![])];
        insta::assert_snapshot!(json(&list), @r#"{"packages":[{"name":"edge","version":"1.2.3-rc.1+x","source":"crates.io","dependencies":[1],"root":true},{"name":"cc","version":"1.2.3-rc.1+x","source":"crates.io","kind":"build"}]}"#);
    }

    #[test]
    fn scanners_find_a_list_that_objcopy_added() {
        let folder = tempfile::tempdir().unwrap();
        let [program, list, with_list] = ["program", "list", "with-list"].map(|it| folder.path().join(it));
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let content = "x".repeat(3 * BLOCK);
        std::fs::write(&list, zlib(content.as_bytes())).unwrap();
        let added = format!("{}={}", crate::SECTION, list.display());
        let mut objcopy = std::process::Command::new("objcopy");
        let made = objcopy.args(["--add-section", &added]).args([&program, &with_list]).status().unwrap();
        assert!(made.success());
        let found = auditable_info::json_from_slice(&std::fs::read(with_list).unwrap(), 4 * BLOCK).unwrap();
        assert!(found == content);
    }

    #[test]
    fn adlers_checksum_is_that_of_the_book() {
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn a_list_of_several_blocks_is_one_stream() {
        let content = vec![b'x'; BLOCK + 1];
        let stream = zlib(&content);
        assert_eq!(stream.len(), 2 + 5 + BLOCK + 5 + 1 + 4);
        assert_eq!((stream[2], stream[2 + 5 + BLOCK]), (0, 1));
    }
}
