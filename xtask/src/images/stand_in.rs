//! Stand-ins for public base images: made from the distribution's packages, under names of their own.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{apt, left_over};
use crate::{
    context::Context,
    outcome::StepError,
    podman::{Podman, on_path, refused},
    process::Log,
};

/// The label that says what an image stands in for.
pub(super) const STAND_IN_LABEL: &str = "dev.slipway.stand-in";

/// The label that says by which recipe it was made.
pub(super) const RECIPE_LABEL: &str = "dev.slipway.recipe";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ENTRYPOINT: &str = include_str!("postgres-entrypoint.sh");
/// Files of packages that no build and no server reads.
const LEFT_OUT: &[&str] =
    &["/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*"];
/// What is left of the host's sources and settings once everything is installed, and what changes at every build.
const CLEAN: &str = r#"rm -rf "$1"/etc/apt/sources.list* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/auth.conf* \
    "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/var/log/* "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old"#;

/// Files that are put into a stand-in.
const TOOLCHAIN: &str = "toolchain.tar";
const ENTRYPOINT_FILE: &str = "docker-entrypoint.sh";

/// What a stand-in holds.
#[derive(Debug)]
struct Recipe {
    packages: Vec<String>,
    /// mmdebstrap's options besides.
    hooks: Vec<String>,
    /// What the image says of itself.
    changes: Vec<String>,
}

/// A folder that removes itself.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The name that a stand-in for this image has; none where there is no recipe for it.
pub(super) fn name(image: &str) -> Option<String> {
    let (repository, tag) = parts(image)?;
    matches!(repository, "rust" | "postgres").then(|| format!("localhost/slipway-base/{repository}:{tag}"))
}

/// Makes the stand-in for a public image.
///
/// # Errors
/// When a tool is missing, the packages cannot be fetched, or the host's toolchain is not the image's.
pub(super) fn make(cx: &Context, podman: &Podman, log: &Log, image: &str) -> Result<(), StepError> {
    let (Some(name), Some((repository, tag))) = (name(image), parts(image)) else { return Ok(()) };
    if on_path("mmdebstrap").is_none() {
        return Err(StepError::environment(
            format!(
                "`{image}` cannot be pulled, and `mmdebstrap`, which makes a stand-in for it, is not installed"
            ),
            "sudo apt-get install --yes mmdebstrap debian-archive-keyring",
        ));
    }
    let folder = Folder(cx.target().join("bases").join(format!("{repository}-{}", cx.run_id)));
    fs::create_dir_all(&folder.0).with_context(|| format!("cannot write `{}`", cx.shown(&folder.0)))?;
    if repository == "rust" {
        toolchain(cx, log, tag, &folder.0.join(TOOLCHAIN))?;
    } else {
        let entrypoint = folder.0.join(ENTRYPOINT_FILE);
        private_file(&entrypoint, ENTRYPOINT)?;
        fs::set_permissions(&entrypoint, Permissions::from_mode(0o755))
            .context("cannot set a file's mode")?;
    }
    let recipe = Recipe::of(repository, tag, &folder.0);
    let release = tag.rsplit('-').next().unwrap_or(tag);
    let root = root_file_system(cx, log, &folder.0, release, &recipe)?;
    let mut import = podman.process(cx).args(["import", "--quiet"]);
    let by = self::recipe(cx, image).unwrap_or_default();
    let labels = [format!("LABEL {STAND_IN_LABEL}={image}"), format!("LABEL {RECIPE_LABEL}={by}")];
    for change in recipe.changes.iter().chain(&labels) {
        import = import.args(["--change", change]);
    }
    let imported = import.arg(root).arg(&name).log(log).run()?;
    if !imported.success() {
        return Err(refused(&format!("`{name}` cannot be stored"), &imported));
    }
    // The one before has no name any more. What builds made of it stays until they are made anew.
    left_over::nameless(cx, podman, log)
}

/// Names the recipe of a stand-in: what decides over its files, but for the packages' own versions.
pub(super) fn recipe(cx: &Context, image: &str) -> Option<String> {
    let (repository, tag) = parts(image)?;
    let recipe = Recipe::of(repository, tag, Path::new(""));
    let text = format!("{recipe:?} {LEFT_OUT:?} {CLEAN} {ENTRYPOINT}");
    let hash = cx.process("git").args(["hash-object", "--stdin"]).input(text);
    hash.answer().map(|it| it.trim().to_owned())
}

/// Repository and tag of a full name, such as `rust` and `1.95.0-bookworm`.
fn parts(image: &str) -> Option<(&str, &str)> {
    image.rsplit('/').next()?.split_once(':')
}

fn root_file_system(
    cx: &Context,
    log: &Log,
    folder: &Path,
    release: &str,
    recipe: &Recipe,
) -> Result<PathBuf, StepError> {
    let settings = folder.join("apt.conf");
    let places = apt::Places::of_host(cx)?;
    private_file(&settings, &apt::settings(cx, &places)?)?;
    let root = folder.join("root.tar");
    let mut process = cx
        .process("mmdebstrap")
        .env_remove("APT_CONFIG")
        .env("SOURCE_DATE_EPOCH", "0")
        .args(["--quiet", "--variant=minbase"]);
    process = process.arg(format!("--include={}", recipe.packages.join(",")));
    process = process.arg(format!("--aptopt={}", settings.display()));
    process = process.args(LEFT_OUT.iter().map(|it| format!("--dpkgopt=path-exclude={it}")));
    process = process.args(&recipe.hooks).arg(format!("--customize-hook={CLEAN}"));
    // By standard input: an address may hold a password, and arguments are for everyone to read.
    let sources = apt::sources(&places, release).join("\n") + "\n";
    let made = process.arg(release).arg(&root).arg("-").input(sources).log(log).run()?;
    if made.success() { Ok(root) } else { Err(refused("mmdebstrap cannot make a root file system", &made)) }
}

impl Recipe {
    /// What goes into the stand-in, with the files that lie in `folder`.
    fn of(repository: &str, tag: &str, folder: &Path) -> Self {
        if repository == "rust" { Self::builder(tag, folder) } else { Self::postgres(tag, folder) }
    }

    /// A C compiler, certificates, time zones, and the toolchain that this workspace is pinned to.
    fn builder(tag: &str, folder: &Path) -> Self {
        let version = tag.split('-').next().unwrap_or(tag);
        Self {
            packages: ["gcc", "libc6-dev", "ca-certificates", "tzdata"].map(str::to_owned).into(),
            hooks: vec![format!("--customize-hook=tar-in {} /usr/local", folder.join(TOOLCHAIN).display())],
            changes: vec![
                format!("ENV PATH=/usr/local/cargo/bin:{PATH}"),
                "ENV CARGO_HOME=/usr/local/cargo".into(),
                format!("ENV RUST_VERSION={version}"),
            ],
        }
    }

    /// The server of the tag's major version, and an entry point that does what the public image's does.
    fn postgres(tag: &str, folder: &Path) -> Self {
        let major = tag.split(['.', '-']).next().unwrap_or(tag);
        // The package makes a cluster and starts it, unless it is told before.
        let no_cluster = r#"mkdir -p "$1/etc/postgresql-common"
echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf""#;
        Self {
            packages: vec![format!("postgresql-{major}"), "ca-certificates".into(), "tzdata".into()],
            hooks: vec![
                format!("--essential-hook={no_cluster}"),
                format!("--customize-hook=copy-in {} /usr/local/bin", folder.join(ENTRYPOINT_FILE).display()),
            ],
            changes: vec![
                format!("ENV PATH={PATH}:/usr/lib/postgresql/{major}/bin"),
                format!("ENV PG_MAJOR={major}"),
                "ENV PGDATA=/var/lib/postgresql/data".into(),
                "ENV LANG=C.UTF-8".into(),
                "ENTRYPOINT [\"docker-entrypoint.sh\"]".into(),
                "CMD [\"postgres\"]".into(),
                "EXPOSE 5432".into(),
                "STOPSIGNAL SIGINT".into(),
                "VOLUME /var/lib/postgresql/data".into(),
            ],
        }
    }
}

/// An archive of what compiling needs of the workspace's toolchain, which must be the image's: no documentation, no
/// sources, no other targets.
fn toolchain(cx: &Context, log: &Log, tag: &str, archive: &Path) -> Result<(), StepError> {
    let version = cx.process("rustc").arg("--version").run()?.stdout;
    let version = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let wanted = tag.split('-').next().unwrap_or(tag);
    if version != wanted {
        return Err(StepError::environment(
            format!("the base image is of Rust {wanted}, this workspace's toolchain is {version}"),
            format!("rustup toolchain install {wanted}"),
        ));
    }
    let asked = cx.process("rustc").args(["--print", "sysroot"]).run()?;
    let verbose = cx.process("rustc").arg("-vV").run()?.stdout;
    let host = verbose.lines().find_map(|it| it.strip_prefix("host: ")).unwrap_or_default();
    let root = PathBuf::from(asked.stdout.trim());
    let root = root.canonicalize().with_context(|| format!("no toolchain in `{}`", root.display()))?;
    let mut wanted = vec!["bin/cargo".to_owned(), "bin/rustc".into(), format!("lib/rustlib/{host}")];
    let libraries = fs::read_dir(root.join("lib")).context("cannot read the toolchain")?;
    let names = libraries.flatten().filter_map(|it| it.file_name().into_string().ok());
    wanted.extend(names.filter(|it| it.contains(".so")).map(|it| format!("lib/{it}")));
    let pack = cx.process("tar").arg(format!("--directory={}", root.display())).args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--create",
        "--file",
    ]);
    let packed = pack.arg(archive).args(wanted).log(log).run()?;
    if packed.success() { Ok(()) } else { Err(refused("the toolchain cannot be packed", &packed)) }
}

fn private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let mut file =
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_never_has_the_public_name() {
        assert_eq!(
            name("docker.io/library/rust:1.95.0-bookworm").as_deref(),
            Some("localhost/slipway-base/rust:1.95.0-bookworm")
        );
        assert_eq!(name("docker.io/library/alpine:3.20"), None);
    }

    #[test]
    fn a_recipe_names_what_decides_over_a_stand_in_and_not_where_it_is_made() {
        let builder = |tag: &str| format!("{:?}", Recipe::of("rust", tag, Path::new("")));
        assert_ne!(builder("1.95.0-bookworm"), builder("1.96.0-bookworm"));
        let changes = |folder: &str| Recipe::of("postgres", "15.18-bookworm", Path::new(folder)).changes;
        assert_eq!(changes("/a"), changes("/b"));
        assert!(Recipe::of("postgres", "16.1-trixie", Path::new("")).packages[0].ends_with("-16"));
    }
}
