//! `up` and `down` on a small stack of the test's own, with real containers: the tool knows none of its names.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::project::{Project, Said, home};

/// One program for all: what it does is its first argument, or asked over HTTP.
const MINI: &str = r#"
use std::{env::var, io::{Read, Write}, net::{TcpListener, TcpStream}};
fn asked(at: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.rsplit("\r\n").next()?.to_owned())
}
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("healthcheck") => {
            let good = var("DEAF").is_err() && asked("127.0.0.1:80").is_some();
            if !good { println!("nobody listens"); }
            std::process::exit(if good { 0 } else { 1 })
        }
        Some("job") => {
            println!("the job says: {}", var("WORDS").unwrap_or_default());
            std::fs::write("/data/done", "done").unwrap();
            std::process::exit(var("CODE").map_or(0, |it| it.parse().unwrap()))
        }
        _ => {}
    }
    println!("waits for a friend");
    let listener = TcpListener::bind("0.0.0.0:80").unwrap();
    for mut stream in listener.incoming().flatten() {
        stream.read(&mut [0; 512]).ok();
        let mut says = var("SAYS").unwrap_or_default();
        if let Ok(at) = var("BEHIND") { says += &asked(&at).unwrap_or("nobody".into()); }
        if let Ok(path) = var("SECRET_FILE") { says += &std::fs::read_to_string(path).unwrap(); }
        stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{says}").as_bytes()).ok();
    }
}
"#;

const CONTAINERFILE: &str = "FROM scratch AS mini\nCOPY root/ /\nUSER 65532:65532\n\
    HEALTHCHECK --interval=1s CMD [\"/mini\", \"healthcheck\"]\nENTRYPOINT [\"/mini\"]\n";

const COMPOSE: &str = r#"
x-up:
  prepare: [sh, secrets.sh]
  ready: ["look: podman logs {front}"]
x-mini: &mini
  image: localhost/PROJECT/mini:test
  build: { context: ., target: mini }
  read_only: true
  cap_drop: [ALL]
  cap_add: [NET_BIND_SERVICE]
  security_opt: ["no-new-privileges:true"]
  mem_limit: 64m
  pids_limit: 32
  # The first process of a container does not end on TERM unless it asks for it.
  stop_signal: SIGKILL
services:
  set-up:
    <<: *mini
    command: [job]
    user: "0"
    environment: { WORDS: "${WORDS:-all is well}", CODE: "${CODE:-0}" }
    volumes: ["data:/data"]
  back:
    <<: *mini
    environment: { SAYS: "${BACK_SAYS:-back}" }
    secrets: [word]
    depends_on: { set-up: { condition: service_completed_successfully } }
  front:
    <<: *mini
    environment: { SAYS: "front and ", BEHIND: "back:80", SECRET_FILE: /run/secrets/word }
    secrets: [word]
    ports: ["${FRONT:-127.0.0.1:PORT}:80"]
    depends_on: { back: { condition: service_healthy } }
secrets:
  word: { file: ./word }
volumes:
  data: {}
"#;

/// A stack in a folder of its own; what is left of it goes with it.
struct World {
    project: Project,
    name: String,
    port: u16,
}

impl World {
    fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let project = Project::with(&[
            ("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n"),
            ("src/lib.rs", "//! Tiny.\n"),
            ("Containerfile", CONTAINERFILE),
            // A comma, which tells it from what the services say.
            ("secrets.sh", "[ -s word ] || printf ', quietly' > word\n"),
        ]);
        let folder = project.root.file_name().unwrap().to_string_lossy().to_lowercase();
        let name: String = folder.chars().filter(char::is_ascii_alphanumeric).collect();
        let compose = COMPOSE.replace("PROJECT", &name).replace("PORT", &port.to_string());
        project.write("compose.yaml", &compose);
        Self { project, name, port }
    }

    /// Compiles the program and lays it out, with the libraries that it needs.
    fn compiled(self) -> Self {
        let root = self.project.root.join("root");
        fs::create_dir_all(&root).unwrap();
        self.project.write("mini.rs", MINI);
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "-Cstrip=symbols", "-o"]).arg(root.join("mini"));
        assert!(rustc.arg(self.project.root.join("mini.rs")).status().unwrap().success());
        let needed = Command::new("ldd").arg(root.join("mini")).output().unwrap();
        let needed = String::from_utf8(needed.stdout).unwrap();
        for library in needed.split_whitespace().filter(|it| it.starts_with('/')) {
            let copy = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
        self
    }

    fn up(&self, arguments: &[&str]) -> Said {
        self.project.xtask(&[&["up"], arguments].concat())
    }

    /// What is told of each service, and what is said in the end.
    fn told(&self, said: &Said) -> String {
        let text = self.project.masked(&said.stdout);
        text.replace(&self.name, "PROJECT").replace(&self.port.to_string(), "PORT")
    }

    fn containers(&self) -> Vec<String> {
        let names = podman(&["ps", "--all", "--sort", "names", "--format", "{{.Names}} {{.ID}}"]);
        let prefix = format!("{}_", self.name);
        names.lines().filter_map(|it| it.strip_prefix(&prefix)).map(Into::into).collect()
    }

    fn names(&self) -> Vec<String> {
        self.containers().iter().filter_map(|it| it.split_once(' ')).map(|(name, _)| name.into()).collect()
    }

    /// The hardware address of the network's bridge, where this process sees it, and that it was set.
    fn bridge(&self) -> Option<String> {
        let network = format!("{}_default", self.name);
        let name = podman(&["network", "inspect", "--format", "{{.NetworkInterface}}", &network]);
        let read = |file: &str| fs::read_to_string(format!("/sys/class/net/{}/{file}", name.trim())).ok();
        let address = read("address")?;
        assert_eq!(read("addr_assign_type").unwrap().trim(), "3", "the address is what its ports make it");
        Some(address)
    }

    fn answer(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.rsplit("\r\n").next().unwrap().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.project.xtask(&["down", "--volumes"]);
        podman(&["rmi", "--force", &format!("localhost/{}/mini:test", self.name)]);
    }
}

/// Asks podman; what it says matters, whether it agrees does not.
fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_stack_comes_up_changes_where_it_must_and_goes_away_whole() {
    let world = World::new().compiled();
    let said = world.up(&[]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    insta::assert_snapshot!(world.told(&said), @"
    stack   ok         <time>
    images  ok         <time>
    set-up  ok         <time>
    back    ok         <time>
    front   ok         <time>

    green  5 passed  <time>
    front   http://127.0.0.1:PORT
    look: podman logs PROJECT_front_1
    ");
    assert_eq!(world.answer(), "front and back, quietly");
    assert_eq!(world.project.report()["command"], "up");
    let (before, bridge) = (world.containers(), world.bridge());
    assert_eq!(world.names(), ["back_1", "front_1", "set-up_1"]);

    let said = world.up(&[]);
    assert!(world.told(&said).contains("green  2 passed, 3 skipped"), "{}", said.stdout);
    assert_eq!(world.containers(), before, "nothing changed, and nothing was made anew");

    world.project.write(".env", "BACK_SAYS=another\n");
    let said = world.up(&["--scale", "back=2"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert_eq!(world.answer(), "front and another, quietly");
    assert_eq!(world.bridge(), bridge, "the front still knows the way to podman's name server");
    assert_eq!(world.names(), ["back_1", "back_2", "front_1", "set-up_1"]);
    let same = |name: &str| before.iter().find(|it| it.starts_with(name)).cloned();
    assert!(world.containers().contains(&same("front_1").unwrap()), "the front is what it was");
    assert!(!world.containers().contains(&same("back_1").unwrap()), "the back says something else now");

    let said = world.project.xtask(&["down"]);
    insta::assert_snapshot!(world.told(&said), @"
    removed  PROJECT_front_1
    removed  PROJECT_back_2
    removed  PROJECT_back_1
    removed  PROJECT_set-up_1
    removed  the network PROJECT_default
    kept     the volume PROJECT_data; `cargo xtask down --volumes` removes it too
    ");
    let said = world.project.xtask(&["down", "--volumes"]);
    insta::assert_snapshot!(world.told(&said), @"removed  the volume PROJECT_data");
    assert!(!podman(&["network", "ls", "--quiet"]).contains(&world.name));
}

#[test]
fn a_job_that_fails_shows_its_words_and_nothing_after_it_starts() {
    let world = World::new().compiled();
    world.project.write(".env", "CODE=1\nWORDS=no such table\n");
    let said = world.up(&[]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    insta::assert_snapshot!(world.told(&said), @"
    stack   ok         <time>
    images  ok         <time>
    set-up  FAILED     <time>
        the job says: no such table
    back    skipped    not started: `set-up` did not get there
    front   skipped    not started: `set-up` did not get there

    set-up failed
        log        target/xtask/logs/set-up.log
        reproduce  cargo xtask -C <root> up
    RED  2 passed, 1 failed, 2 skipped  <time>
    ");
    assert!(said.stderr.contains("nothing of the stack runs"), "{}", said.stderr);
    assert_eq!(world.names(), ["set-up_1"]);
    let finding = &world.project.report()["steps"][2]["findings"][0];
    assert_eq!(finding["code"], "job-failed");
    // One that lacks something is not at fault itself.
    world.project.write(".env", "CODE=3\nWORDS=the database does not answer\n");
    let said = world.up(&[]);
    assert_eq!(said.code, 3, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("the job says: the database does not answer"), "{}", said.stdout);
    // And once it can, it goes on from there.
    world.project.write(".env", "");
    assert_eq!(world.up(&[]).code, 0);
}

#[test]
fn a_service_that_never_gets_ready_is_told_with_its_words_and_the_interrupt_of_another_try_is_130() {
    let world = World::new().compiled();
    world.project.replace("compose.yaml", "BACK_SAYS:-back}\"", "BACK_SAYS:-back}\", DEAF: 1");
    let said = world.up(&["--timeout", "2"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    let told = world.told(&said);
    assert!(told.contains("back    FAILED"), "{told}");
    assert!(told.contains("    waits for a friend"), "{told}");
    assert!(told.contains("front   skipped    not started: `back` did not get there"), "{told}");
    let finding = &world.project.report()["steps"][3]["findings"][0];
    assert_eq!(finding["code"], "service-not-ready");
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.ends_with("did not get ready within 2 s; its health check says: nobody listens"),
        "{message}"
    );
    assert!(world.project.read("target/xtask/logs/back.log").contains("waits for a friend"));
    assert!(said.stderr.contains(&format!("still running: {}_back_1", world.name)), "{}", said.stderr);

    fs::remove_file(world.project.root.join("target/xtask/logs/back.log")).unwrap();
    let mut command = world.project.command(&["up"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the wait for the service", || {
        let log = fs::read_to_string(world.project.root.join("target/xtask/logs/back.log"));
        log.is_ok_and(|it| it.contains("ps --all"))
    });
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let said: Said = run.wait_with_output().unwrap().into();
    assert_eq!(said.code, 130, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("`cargo xtask down` removes it"), "{}", said.stderr);
}

#[test]
fn a_port_that_somebody_has_is_told_with_who_that_is_and_how_to_choose_another() {
    let world = World::new().compiled();
    let listener = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    let said = world.up(&[]);
    assert_eq!(said.code, 3, "{}{}", said.stdout, said.stderr);
    let holder = format!("(process {})", std::process::id());
    assert!(said.stdout.contains(&holder), "{}", said.stdout);
    assert!(said.stdout.contains("or set `FRONT` in `.env`"), "{}", said.stdout);
    assert_eq!(world.names(), ["back_1", "set-up_1"]);
    drop(listener);
    // Two at once: the second waits for the first, and finds everything done.
    let start =
        || world.project.command(&["up"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runs = [start(), start()].map(|it| Said::from(it.wait_with_output().unwrap()));
    for said in &runs {
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    }
    assert!(runs.iter().any(|it| it.stdout.contains("front   skipped    is ready and unchanged")));
    assert_eq!(world.answer(), "front and back, quietly");
}

#[test]
fn files_and_images_that_are_not_there_are_told_all_at_once_with_what_to_type() {
    let world = World::new();
    world.project.write(".env.example", "#FRONT=127.0.0.1:80\n");
    world.project.replace("compose.yaml", "file: ./word", "file: ./other");
    world.project.replace("compose.yaml", "\"data:/data\"", "\"data:/data\", \"./no/where:/where:ro\"");
    let said = world.up(&[]);
    assert_eq!(said.code, 3, "{}{}", said.stdout, said.stderr);
    let told = "stack   UNJUDGED   not there: no/where, other";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    assert!(said.stdout.contains("put it there, or say where it is; see .env.example"), "{}", said.stdout);

    world.project.replace("compose.yaml", ", \"./no/where:/where:ro\"", "");
    world.project.replace("compose.yaml", "file: ./other", "file: ./word");
    let said = world.up(&["--no-build", "back"]);
    assert_eq!(said.code, 3, "{}{}", said.stdout, said.stderr);
    let image = format!("localhost/{}/mini:test", world.name);
    let told = format!("this checkout has built no image of `{image}`, and `--no-build` builds none");
    assert!(said.stdout.contains(&told), "{}", said.stdout);
    let again = "cargo xtask -C <root> up back --no-build";
    assert!(world.told(&said).contains(again), "{}", said.stdout);
    assert_eq!(world.names(), Vec::<String>::new());
}

#[test]
fn what_the_file_asks_for_and_cannot_have_is_told_before_anything_starts() {
    let world = World::new();
    let refused = |old: &str, new: &str, arguments: &[&str]| {
        let before = world.project.read("compose.yaml");
        world.project.replace("compose.yaml", old, new);
        let said = world.up(arguments);
        world.project.write("compose.yaml", &before);
        format!("{} {}", said.code, said.stderr.lines().next().unwrap_or_default())
    };
    let said = [
        refused("pids_limit: 32", "pids_limt: 32", &[]),
        refused("{ back: {", "{ bakc: {", &[]),
        refused("services:", "services: [", &[]),
        refused("[word]", "[world]", &[]),
        refused("${CODE:-0}", "${CODE:?say which}", &[]),
        refused("read_only", "read_only", &["fornt"]),
        refused("read_only", "read_only", &["--scale", "front=2"]),
        refused("read_only", "read_only", &["--scale", "front=many"]),
        refused("read_only", "read_only", &["--file", "compose.other.yaml"]),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    2 error: compose.yaml: service `back`: `up` cannot use it: unknown field `pids_limt`, expected one of `image`, `build`, `command`, `entrypoint`, `environment`, `labels`, `secrets`, `volumes`, `tmpfs`, `ports`, `depends_on`, `healthcheck`, `restart`, `read_only`, `init`, `cap_drop`, `cap_add`, `security_opt`, `extra_hosts`, `user`, `working_dir`, `stop_signal`, `stop_grace_period`, `mem_limit`, `cpus`, `pids_limit`, `shm_size`, `scale`
    2 error: compose.yaml: service `front` depends on `bakc`, which is no service of the file
    2 error: compose.yaml is no YAML: while parsing a flow sequence in "<stdin>", line 16, column 11 expected ',' or ']', but got ':' in "<stdin>", line 18, column 7
    2 error: compose.yaml: service `back` uses the secret `world`, which is not declared
    2 error: compose.yaml: `CODE` is not set: say which
    2 error: there is no service `fornt`; there are: set-up back front
    2 error: `--scale front=2`: `front` publishes a port of this machine, which only one can have
    2 error: invalid value 'front=many' for '--scale <SERVICE=N>': N is a number from 0 to 64
    2 error: there is no `compose.other.yaml` in this workspace
    "#);
    assert_eq!(world.names(), Vec::<String>::new());
}

#[test]
fn podman_compose_reads_the_compose_files_too() {
    for file in ["compose.yaml", "compose.external.yaml"] {
        let mut command = Command::new("podman-compose");
        // In place of podman something that agrees: also its dry run would make the network.
        let output = command
            .args(["--podman-path", "/bin/true", "-f", file, "--dry-run", "up", "--detach"])
            .current_dir(home())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("${"), "{file}: a variable is not understood\n{text}");
        for service in ["migrator", "control", "worker", "gateway", "proxy"] {
            assert!(
                text.contains(&format!("com.docker.compose.service={service}")),
                "{file}: {service}\n{text}"
            );
        }
    }
}

#[test]
fn the_stack_on_a_given_database_differs_only_in_what_is_about_the_database() {
    let lines = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(home().join(file)).unwrap();
        let services = text.split_once("\nservices:\n").unwrap().1.split_once("\nsecrets:\n").unwrap().0;
        services.lines().filter(|it| !it.trim_start().starts_with('#')).map(Into::into).collect()
    };
    let (own, given) = (lines("compose.yaml"), lines("compose.external.yaml"));
    let of = |lines: &[String], service: &str| -> Vec<String> {
        let from = lines.iter().position(|it| *it == format!("  {service}:")).unwrap();
        let rest = lines[from + 1..].iter();
        let block = rest.take_while(|it| it.starts_with("    ") || it.is_empty());
        block.filter(|it| !it.is_empty()).cloned().collect()
    };
    for service in ["migrator", "control", "worker", "gateway", "proxy"] {
        let (own, given) = (of(&own, service), of(&given, service));
        let without: Vec<String> = given
            .iter()
            .filter(|it| !it.contains("*tls"))
            .map(|it| it.replace(", database-ca]", "]"))
            .collect();
        let own = own.join("\n");
        let own = own.replace("\n    depends_on:\n      postgres:\n        condition: service_healthy", "");
        assert_eq!(without.join("\n"), own, "{service}");
    }
    assert!(!given.iter().any(|it| it == "  postgres:"));
    for example in [".env.example", ".env.external.example"] {
        let lines = fs::read_to_string(home().join(example)).unwrap();
        let compose = if example == ".env.example" { "compose.yaml" } else { "compose.external.yaml" };
        let compose = fs::read_to_string(home().join(compose)).unwrap();
        for line in lines.lines().filter(|it| !it.is_empty()) {
            let Some((name, default)) = line.trim_start_matches('#').split_once('=') else { continue };
            if name.chars().all(|it| it.is_ascii_uppercase() || it == '_') {
                let asked = match default {
                    "" => format!("${{{name}}}"),
                    default => format!("${{{name}:-{default}}}"),
                };
                assert!(compose.contains(&asked), "{example}: `{asked}` is not in the compose file");
            }
        }
    }
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 60 s");
        thread::sleep(Duration::from_millis(50));
    }
}
