//! The server in its container, as the process that holds it sees it.

use std::{
    collections::HashMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use testcontainers::{
    ContainerAsync, GenericImage, ImageExt as _,
    bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
    core::client::docker_client_instance,
    runners::AsyncRunner as _,
};

use crate::{
    address::Address,
    container::{
        engine::{Engine, Runtime},
        lack, on_path,
    },
    error::Lack,
    local::directory::{self, Private},
    options::Options,
};

/// Marks what is ours; its value is the private directory, whose lock says whether the holder lives.
const DIRECTORY_LABEL: &str = "scratch-postgres.directory";
/// From where that directory is seen: other hosts and other mount namespaces have their own.
const PLACE_LABEL: &str = "scratch-postgres.place";
const RUN_LABEL: &str = "scratch-postgres.run";

/// Where the container sees the directory of the socket.
const SOCKET_MOUNT: &str = "/scratch";
const DATA_MOUNT: &str = "/var/lib/postgresql/data";
/// Tells the server from the one that initialises: images run that one without any address.
const LISTEN: &str = "127.0.0.1";

/// How long an image that is here may take to serve; it initialises a data directory first.
const READY_DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// What a container gets of the caller's limits at most.
const LIMIT: u64 = 4096;

/// As in the local provider: nothing survives a crash, and nothing needs to.
const SETTINGS: &[&str] = &[
    "unix_socket_directories=/scratch",
    "unix_socket_permissions=0777",
    "max_connections=300",
    "max_locks_per_transaction=256",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
];

/// Whose engine runs the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineSource {
    /// The one that listens where `DOCKER_HOST` says.
    Given,
    /// One to be started there, which ends with the container.
    Own,
}

/// A server in a container, with the engine if that had to be started too.
#[derive(Debug)]
pub struct HeldContainer {
    // Dropped in this order: the container needs its engine, both need the directory.
    container: ContainerAsync<GenericImage>,
    engine: Option<Engine>,
    private: Private,
}

impl HeldContainer {
    /// Starts a server in `directory`, through the engine that `DOCKER_HOST` names or, where told to, through one of
    /// its own. The calling thread has to live as long as the container.
    ///
    /// # Errors
    /// When the engine, the image or the server does not work.
    pub async fn start(options: &Options, directory: &Path, source: EngineSource) -> Result<Self, Lack> {
        let private = Private::create_at(directory, None)?;
        let open = Permissions::from_mode(0o777);
        fs::set_permissions(private.socket(), open)
            .map_err(|e| lack(format!("cannot open `{}`: {e}", private.socket().display()), "try again"))?;
        let own = source == EngineSource::Own;
        let start = |runtime| own.then(|| Engine::start(options, directory, runtime)).transpose();
        let mut engine = start(Runtime::Configured)?;
        reap().await;
        let mut started = run(options, &private).await;
        if let Err(error) = &started
            && error.reason.contains("crun")
            && options.containers_conf.is_none()
            && on_path(&options.search_path, "runc").is_some()
            && own
        {
            drop(engine.take());
            engine = start(Runtime::Runc)?;
            started = run(options, &private).await;
        }
        Ok(Self { container: started?, engine, private })
    }

    /// The directory of the server's socket.
    pub fn socket(&self) -> PathBuf {
        self.private.socket()
    }

    /// Removes the container, ends the engine, removes the directory.
    pub async fn stop(self) {
        let Self { container, engine, private } = self;
        if container.rm().await.is_err() {
            // Gone already, or its engine is; then the next start removes it.
            remove(&name_of(private.path())).await;
        }
        drop(engine);
        drop(private);
    }
}

async fn run(options: &Options, private: &Private) -> Result<ContainerAsync<GenericImage>, Lack> {
    let image = options.image().unwrap_or_default();
    let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let socket = private.socket().display().to_string();
    let request = GenericImage::new(name, tag)
        .with_container_name(name_of(private.path()))
        .with_label(DIRECTORY_LABEL, private.path().display().to_string())
        .with_label(PLACE_LABEL, place())
        .with_label(RUN_LABEL, &options.run_id)
        .with_env_var("POSTGRES_USER", "postgres")
        .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_env_var("POSTGRES_INITDB_ARGS", "--no-sync --encoding=UTF8 --locale=C.UTF-8 --wal-segsize=1")
        .with_env_var("PGDATA", format!("{DATA_MOUNT}/scratch"))
        .with_env_var("TZ", "UTC")
        // The API ignores podman's configured limits, and its defaults are above what some callers may set.
        .with_ulimit("nofile", limit(Resource::Nofile), Some(limit(Resource::Nofile)))
        .with_ulimit("nproc", limit(Resource::Nproc), Some(limit(Resource::Nproc)))
        .with_security_opt("label=disable")
        .with_startup_timeout(READY_DEADLINE)
        .with_host_config_modifier(move |host| {
            // A socket in a shared directory: no port that others reach, and nothing to map.
            host.network_mode = Some("none".to_owned());
            host.publish_all_ports = Some(false);
            host.binds = Some(vec![format!("{socket}:{SOCKET_MOUNT}")]);
            host.tmpfs = Some(HashMap::from([(DATA_MOUNT.to_owned(), "rw,mode=1777".to_owned())]));
        })
        .with_cmd(command());
    match request.start().await {
        Ok(container) => match wait_until_ready(&container, private).await {
            Ok(()) => Ok(container),
            Err(lack) => {
                drop(container.rm().await);
                Err(lack)
            }
        },
        Err(error) => {
            // One that was made but did not start is nobody's.
            remove(&name_of(private.path())).await;
            Err(refused(image, &told(&error)))
        }
    }
}

fn command() -> Vec<String> {
    let listen = format!("listen_addresses={LISTEN}");
    let settings = SETTINGS.iter().copied().chain([listen.as_str()]);
    let flags = settings.flat_map(|setting| ["-c".to_owned(), setting.to_owned()]);
    ["postgres".to_owned()].into_iter().chain(flags).collect()
}

async fn wait_until_ready(container: &ContainerAsync<GenericImage>, private: &Private) -> Result<(), Lack> {
    let url = Address::of_socket(&private.socket(), None).admin().to_owned();
    let serving = async {
        loop {
            if serves(&url).await.unwrap_or_default() {
                return Ok(());
            }
            if !container.is_running().await.unwrap_or_default() {
                return Err(died(container, "it ended").await);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(READY_DEADLINE, serving).await {
        Ok(served) => served,
        Err(_) => Err(died(container, "it is not ready in time").await),
    }
}

async fn serves(url: &str) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let row = connection.fetch_one("SELECT current_setting('listen_addresses')").await?;
    let listens: String = row.try_get(0)?;
    Ok(listens == LISTEN)
}

async fn died(container: &ContainerAsync<GenericImage>, how: &str) -> Lack {
    let log = container.stderr_to_vec().await.unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let reason = format!("the server in the container does not serve ({how})");
    lack(reason, "name another image in `XTASK_POSTGRES_IMAGE`").with_log(&log)
}

fn refused(image: &str, told: &str) -> Lack {
    let fix = if told.contains("pull the image") {
        format!("run `podman pull {image}`, or name an image that is here in `XTASK_POSTGRES_IMAGE`")
    } else if told.contains("crun") {
        "set `CONTAINERS_CONF` to a file with `[engine]` and `runtime = \"runc\"` (`apt-get install runc`)"
            .to_owned()
    } else {
        "run `podman info`, and mend what it names".to_owned()
    };
    lack(format!("cannot run `{image}`: {told}"), fix)
}

/// An error in one line.
fn told(error: &dyn std::error::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes the containers whose holder was killed together with its guardians.
async fn reap() {
    let Ok(docker) = docker_client_instance().await else { return };
    let filters = HashMap::from([("label", vec![format!("{PLACE_LABEL}={}", place())])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    for container in docker.list_containers(Some(options)).await.unwrap_or_default() {
        let labels = container.labels.unwrap_or_default();
        let Some(left_by) = labels.get(DIRECTORY_LABEL).map(Path::new) else { continue };
        if !directory::is_held(left_by) {
            remove(&name_of(left_by)).await;
        }
    }
}

async fn remove(name: &str) {
    if let Ok(docker) = docker_client_instance().await {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        docker.remove_container(name, Some(options)).await.unwrap_or_default();
    }
}

fn name_of(directory: &Path) -> String {
    format!("scratch-postgres-{}", directory.file_name().unwrap_or_default().to_string_lossy())
}

fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mounts = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    let number: String = mounts.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{}-{number}", boot.trim())
}

/// Not above what this process has.
fn limit(resource: Resource) -> i64 {
    let own = getrlimit(resource).maximum.unwrap_or(LIMIT).min(LIMIT);
    i64::try_from(own).unwrap_or(i64::MAX)
}
