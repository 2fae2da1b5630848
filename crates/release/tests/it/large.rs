//! An image whose layer is larger than what a release may take of a machine's memory.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use release::SigningKey;
use scratch_registry::{Fault, Faulty, ScratchRegistry};
use tempfile::TempDir;

/// MiB of the layer, and what publishing it may take of memory.
const LAYER_MIB: usize = 200;
const MEMORY_KIB_MAX: usize = 96 << 10;

/// A folder with a store of podman's own in it, and in that an image of one large layer that does not compress.
struct Machine {
    folder: TempDir,
    id: String,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let storage =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", at("g"), at("r"));
        fs::write(at("storage.conf"), storage).unwrap();
        let mut machine = Self { folder, id: String::new() };
        let lines = format!(
            "head -c {LAYER_MIB}M /dev/urandom > file && tar -cf image.tar file && rm file && podman import --quiet image.tar large:1 && rm image.tar"
        );
        let output = machine.command("sh").args(["-ec", &lines]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id = String::from_utf8(output.stdout).unwrap();
        machine.id = format!("sha256:{}", id.trim().trim_start_matches("sha256:"));
        machine
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.folder.path()).env("TMPDIR", self.folder.path());
        command.env("CONTAINERS_STORAGE_CONF", self.folder.path().join("storage.conf"));
        command
    }

    /// Writes the order of a release to this registry, and the key that signs it.
    fn is_told_to_release_to(&self, address: &str) {
        let key = SigningKey::generate().unwrap();
        let write = |name: &str, text: &str| fs::write(self.folder.path().join(name), text).unwrap();
        write("key", key.to_pem(None).unwrap().reveal());
        write("key.pub", &key.public().to_pem());
        let order = serde_json::json!({
            "version": "1.0.0", "commit": "c0ffee".repeat(7)[..40], "created_at": "2026-03-04T05:06:07Z",
            "registry": address, "path": "team", "immutable": ["v1.0.0"], "moving": [],
            "images": [{ "service": "gateway", "reference": "localhost/large:1", "id": self.id }],
            "trusted_keys": [self.folder.path().join("key.pub")], "evidence": {}, "folder": self.folder.path(),
            "accepted": { "no_advisories": false, "stand_in_bases": [] },
        });
        write("order.json", &order.to_string());
    }

    /// Publishes a part; gives the exit code, what was said, and KiB of memory that it took at the most.
    fn publishes(&self, part: &str) -> (Option<i32>, String, usize) {
        let mut command = self.command(env!("CARGO_BIN_EXE_release"));
        command.args(["publish", part, "--order", "order.json", "--signing-key", "key"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let most = thread::spawn(move || {
            let mut most = 0;
            while let Some(peak) = peak_kib(Path::new(&status)) {
                most = peak.max(most);
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        let code = child.wait().unwrap().code();
        (code, said, most.join().unwrap())
    }
}

/// What a process took at the most so far; nothing where it has ended.
fn peak_kib(status: &Path) -> Option<usize> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn long_a_layer_of_200_mib_is_pushed_with_a_fraction_of_it_in_memory_and_goes_on_where_it_was_cut() {
    let real = ScratchRegistry::start().unwrap();
    let faulty = Faulty::before(real.address()).unwrap();
    let machine = Machine::new();
    machine.is_told_to_release_to(faulty.address());
    // Chunks are of 16 MiB: the fifth comes to nothing, the ninth breaks off in its middle.
    for (whole, cut) in [(4, 0), (3, 8 << 20)] {
        faulty.on("PATCH", "/uploads/", whole, Fault::ForgetRange);
        faulty.on("PATCH", "/uploads/", 1, Fault::CloseUploadAfter(cut));
    }
    let (code, said, memory) = machine.publishes("push");
    assert_eq!(code, Some(0), "{said}");
    assert!(memory > 0 && memory < MEMORY_KIB_MAX, "{memory} KiB: {said}");
    assert!(faulty.seen("PATCH", "/uploads/") > LAYER_MIB / 16, "{said}");
    let (code, said, memory) = machine.publishes("verify");
    assert_eq!(code, Some(0), "{said}");
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB: {said}");
    assert_eq!(machine.publishes("publish").0, Some(0));
    assert!(real.shelf("team/gateway").digest("v1.0.0").is_some());
}
