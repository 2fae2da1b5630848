//! Names what the tool is made of, so that a verdict holds only for the tool that gave it.

use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

fn main() {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let lock = folder.join("../Cargo.lock");
    let mut files = vec![folder.join("Cargo.toml"), folder.join("build.rs")];
    below(&folder.join("src"), &mut files);
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in &files {
        println!("cargo:rerun-if-changed={}", file.display());
        file.strip_prefix(&folder).unwrap_or(file).hash(&mut hasher);
        fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    println!("cargo:rerun-if-changed={}", folder.join("src").display());
    println!("cargo:rerun-if-changed={}", lock.display());
    // A release changes the versions of the workspace's own packages, and the tool is the same one after it.
    let lock = fs::read_to_string(lock).unwrap_or_default();
    lock.split("\n\n").filter(|it| it.contains("\nsource = ")).for_each(|it| it.hash(&mut hasher));
    println!("cargo:rustc-env=XTASK_SOURCES={:016x}", hasher.finish());
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path()) {
        if path.is_dir() { below(&path, files) } else { files.push(path) }
    }
}
