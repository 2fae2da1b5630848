//! Packages for stand-ins come from wherever the host's apt gets them: by a proxy and from mirrors that want logins, none
//! of which is left in what is made.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;

use crate::{store::Store, supply::kept, world::World};

/// Names that nobody could resolve, so that only the proxy leads there.
const BY_FILE: &str = "mirror.acme.example";
const BY_ADDRESS: &str = "updates.acme.example";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// `user:password` for the proxy and for each mirror.
const LOGINS: [&str; 3] = ["pia:way-of-acme-4711", "finn:file-of-acme-4712", "ada:address-of-acme-4713"];

/// A proxy with two mirrors behind it, which lead who may read them on to the host's own, and apt's settings for them.
struct Mirrors {
    folder: TempDir,
    address: String,
    /// The hosts that were read from.
    read: Arc<Mutex<Vec<String>>>,
}

impl Mirrors {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let read = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&read);
        let (logins, own) = (LOGINS.map(base64), host_mirror());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, logins, own) = (Arc::clone(&heard), logins.clone(), own.clone());
                thread::spawn(move || answer(stream, &logins, &own, &heard));
            }
        });
        let mirrors = Self { folder, address, read };
        mirrors.write_settings();
        mirrors
    }

    fn write_settings(&self) {
        let at = |name: &str| self.folder.path().join(name);
        let [proxy, file, url] = LOGINS;
        let (user, password) = file.split_once(':').unwrap();
        fs::create_dir_all(at("logins")).unwrap();
        let machine = format!("machine http://{BY_FILE}/ login {user} password {password}\n");
        fs::write(at("logins/acme.conf"), machine).unwrap();
        fs::write(
            at("sources.list"),
            format!(
                "deb [signed-by={KEYRING}] http://{BY_FILE}/debian bookworm main\n\
                 deb [signed-by={KEYRING}] http://{url}@{BY_ADDRESS}/debian bookworm-updates main\n"
            ),
        )
        .unwrap();
        let mut text = String::new();
        for host in [BY_FILE, BY_ADDRESS] {
            text += &format!("Acquire::http::Proxy::{host} \"http://{proxy}@{}\";\n", self.address);
        }
        for (name, place) in
            [("sourcelist", "sources.list"), ("sourceparts", "none"), ("netrcparts", "logins")]
        {
            text += &format!("Dir::Etc::{name} \"{}\";\n", at(place).display());
        }
        fs::write(at("apt.conf"), text).unwrap();
    }

    /// What must be nowhere.
    fn traces(&self) -> Vec<String> {
        let passwords = LOGINS.iter().map(|it| it.split_once(':').unwrap().1.to_owned());
        let folder = self.folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let named = [BY_FILE.to_owned(), BY_ADDRESS.to_owned(), self.address.clone(), folder];
        passwords.chain(LOGINS.map(base64)).chain(named).collect()
    }
}

/// The address of the mirror that the host itself has Debian from.
fn host_mirror() -> String {
    let asked = ["indextargets", "--format=$(REPO_URI)", "Codename: bookworm", "Component: main"];
    let output = Command::new("apt-get").args(asked).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().next().unwrap_or("http://deb.debian.org/debian/").trim_end_matches('/').to_owned()
}

fn base64(text: &str) -> String {
    let mut child = Command::new("base64").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

/// One request a connection. A proxy is asked for whole addresses.
fn answer(mut stream: TcpStream, logins: &[String; 3], own: &str, read: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|it| !it.is_empty()).collect();
    let says = |name: &str, login: &str| {
        let mut pairs = headers.iter().filter_map(|it| it.split_once(": "));
        pairs.any(|(key, it)| key.eq_ignore_ascii_case(name) && it == format!("Basic {login}"))
    };
    let address = request.split(' ').nth(1).unwrap_or_default().trim_start_matches("http://");
    let (host, path) = address.split_once("/debian/").unwrap_or_default();
    // apt leaves a login where its sources have it.
    let host = host.rsplit('@').next().unwrap_or(host);
    let [proxy, by_file, by_address] = logins;
    let reader = if host == BY_FILE { by_file } else { by_address };
    let head = if !says("proxy-authorization", proxy) {
        "407 Proxy Authentication Required".to_owned()
    } else if !says("authorization", reader) {
        "401 Unauthorized".to_owned()
    } else {
        read.lock().unwrap().push(host.to_owned());
        format!("302 Found\r\nlocation: {own}/{path}")
    };
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok();
}

/// Whether a file holds a text, compressed or not.
fn holds(file: &Path, text: &str) -> bool {
    Command::new("grep").args(["-qaF", "--", text]).arg(file).status().unwrap().success()
}

#[test]
fn long_a_stand_in_from_mirrors_with_logins_behind_a_proxy_holds_no_trace_of_them() {
    let (mirrors, store) = (Mirrors::start(), Store::empty());
    let world =
        World::new("[images.bases.postgres]\nimage = \"127.0.0.1:1/library/postgres:15.0-bookworm\"\n");
    let name = "localhost/slipway-base/postgres:15.0-bookworm";
    let mut command = store.command(&world, &["images", "bases"]);
    let said = world.run(command.env("APT_CONFIG", mirrors.folder.path().join("apt.conf")));
    assert!(said.text.contains(&format!("`{name}` stands in for")), "{}", said.text);
    for host in [BY_FILE, BY_ADDRESS] {
        assert!(mirrors.read.lock().unwrap().iter().any(|it| it == host), "nobody read from {host}");
    }
    // Layers, configuration and history, as they are.
    let saved = mirrors.folder.path().join("saved.tar");
    store.podman(&["save", "--quiet", "--format=docker-archive", "--output", &saved.to_string_lossy(), name]);
    assert!(holds(&saved, "docker-entrypoint.sh") && holds(&saved, "Package: postgresql-15"));
    for trace in mirrors.traces() {
        assert!(!holds(&saved, &trace), "the image holds `{trace}`");
        for text in [&said.text, &kept(&world)] {
            // Which mirror it is may be told here; how to get in may not.
            assert!(!text.contains(&trace) || trace.contains("example"), "`{trace}`: {text}");
        }
    }
    assert!(fs::read_dir(world.root().join("target/xtask/bases")).unwrap().next().is_none());
}
