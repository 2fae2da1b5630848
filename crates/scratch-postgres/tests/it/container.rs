//! Servers in containers, on a real podman.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::host::{Program, ask, eventually, nothing_is_left, place};

/// The host's own server as an image, with the manners of the public one; removed with the value.
struct StandIn {
    name: String,
}

impl StandIn {
    fn build() -> Self {
        let root = place();
        let bin = output(Command::new("sh").args(["-c", "ls -d /usr/lib/postgresql/15/bin"]));
        let bin = Path::new(bin.trim());
        let lib = bin.with_file_name("lib");
        let binaries =
            [bin.join("postgres"), bin.join("initdb"), lib.join("plpgsql.so"), lib.join("dict_snowball.so")];
        for file in binaries.iter().chain([&PathBuf::from("/bin/sh")]) {
            copy_file(root.path(), file);
            for library in libraries(file) {
                copy_file(root.path(), &library);
            }
        }
        copy_folder(root.path(), Path::new("/usr/share/postgresql/15"));
        copy_folder(root.path(), Path::new("/usr/lib/locale/C.utf8"));
        copy_file(root.path(), Path::new("/usr/share/zoneinfo/UTC"));
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(&path, text).expect("it can be written");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its owner may");
        };
        write("etc/passwd", "postgres:x:999:999::/:/bin/sh\n");
        write("tmp/.keep", "");
        let initialise = "initdb -U \"$POSTGRES_USER\" --auth=trust $POSTGRES_INITDB_ARGS";
        write("entrypoint", &format!("#!/bin/sh\nset -e\n{initialise} >&2\nexec \"$@\"\n"));
        let name = format!("localhost/scratch-postgres-test/{}:1", uuid::Uuid::new_v4().simple());
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["--owner=0", "--group=0", "-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar is installed");
        let path = format!("ENV PATH={}:/bin", bin.display());
        let imported = podman()
            .args([
                "import",
                "--quiet",
                "--change",
                "ENTRYPOINT [\"/entrypoint\"]",
                "--change",
                "USER 999:999",
            ])
            .args(["--change", &path, "-", &name])
            .stdin(tar.stdout.take().expect("it is piped"))
            .output()
            .expect("podman is installed: run `cargo xtask test --setup`");
        assert!(tar.wait().expect("it ends").success());
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        Self { name }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        podman().args(["rmi", "--force", &self.name]).output().expect("podman is installed");
    }
}

fn podman() -> Command {
    Command::new("podman")
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it is installed: run `cargo xtask test --setup`");
    String::from_utf8(output.stdout).expect("text")
}

/// `ldd` prints `name => path (address)`, and the loader as `path (address)`.
fn libraries(file: &Path) -> Vec<PathBuf> {
    let text = output(Command::new("ldd").arg(file));
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn copy_file(root: &Path, file: &Path) {
    let target = root.join(file.strip_prefix("/").expect("an absolute path"));
    fs::create_dir_all(target.parent().expect("a folder")).expect("it can be made");
    fs::copy(file, target).expect("it can be copied");
}

fn copy_folder(root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        // A link counts as what it leads to.
        match fs::metadata(entry.path()) {
            Ok(it) if it.is_dir() => copy_folder(root, &entry.path()),
            Ok(_) => copy_file(root, &entry.path()),
            Err(_) => {}
        }
    }
}

fn containers_of(run: &str) -> String {
    output(podman().args([
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &format!("label=scratch-postgres.run={run}"),
    ]))
}

#[tokio::test]
async fn a_container_serves_and_goes_however_its_holder_ends() {
    let image = StandIn::build();
    let place = place();
    let run = uuid::Uuid::new_v4().simple().to_string();
    let variables = [
        ("XTASK_POSTGRES", "container"),
        ("XTASK_POSTGRES_IMAGE", image.name.as_str()),
        ("XTASK_RUN_ID", &run),
    ];
    for signal in [Some(Signal::KILL), Some(Signal::TERM), None] {
        let program = Program::serving(place.path(), &variables);
        assert_eq!(program.line()["provider"], "container");
        assert_eq!(ask(&program.url(), "SHOW timezone").await.expect("it answers"), "UTC");
        assert_eq!(containers_of(&run).lines().count(), 1);
        signal.into_iter().for_each(|signal| program.signal(signal));
        program.end();
        eventually("the container is removed", || containers_of(&run).is_empty());
        nothing_is_left(place.path());
    }
}

#[test]
fn an_image_that_is_not_there_is_told_with_the_command_that_helps() {
    let place = place();
    let image = "localhost/scratch-postgres-test/none:1";
    let variables = [("XTASK_POSTGRES", "container"), ("XTASK_POSTGRES_IMAGE", image)];
    let (status, told) = Program::start(place.path(), &variables).end();
    assert_eq!(status.code(), Some(3));
    assert!(told.contains("cannot run `localhost/scratch-postgres-test/none:1`"), "{told}");
    assert!(
        told.contains("; run `podman pull localhost/scratch-postgres-test/none:1`, or name an image"),
        "{told}"
    );
    nothing_is_left(place.path());
}
