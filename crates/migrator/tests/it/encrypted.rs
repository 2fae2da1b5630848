//! A database that is given, reached with TLS: a real Postgres with a certificate of a private authority.

use std::net::{Ipv4Addr, TcpListener};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use scratch_postgres::{Options, Provider, Server, Tls};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use store::Store;
use tempfile::TempDir;

use super::{Run, bare, finish};

const DATABASE: &str = "slipway";

/// A server that lets nobody in over TCP without TLS, and the authority of its certificate as a file.
struct Given {
    _server: Server,
    port: u16,
    folder: TempDir,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Given {
    /// With the three roles, and nothing else in its database.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = authority("the test's own");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        std::fs::write(folder.path().join("another.pem"), authority("another one").pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let tls = Tls { port, certificate: certificate.pem(), key: key.serialize_pem() };
        let options =
            Options { provider: Some(Provider::Local), tls: Some(tls), ..Options::from_env().unwrap() };
        let server = Server::start(&options).await.unwrap();
        let mut admin = PgConnection::connect(server.admin_url()).await.unwrap();
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {DATABASE}"))).await.unwrap();
        let own = server.admin_url().replace("/postgres?", &format!("/{DATABASE}?"));
        let mut admin = PgConnection::connect(&own).await.unwrap();
        let bootstrap = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.config/postgres/bootstrap.sql");
        admin.execute(AssertSqlSafe(std::fs::read_to_string(bootstrap).unwrap())).await.unwrap();
        Self { _server: server, port, folder }
    }

    fn url(&self, role: &str, host: &str, how: &str) -> String {
        format!("postgres://slipway_{role}@{host}:{}/{DATABASE}?{how}", self.port)
    }

    fn authority(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }

    /// The migrator as compose.external.yaml starts it, but for what the addresses say.
    async fn migrator(&self, host: &str, how: &str, authority: &str) -> Run {
        let mut command = bare(&[]);
        command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", self.authority(authority));
        command.env("DATABASE_URL", self.url("deployer", host, how));
        command.env("OWNER_DATABASE_URL", self.url("owner", host, how));
        finish(command.spawn().unwrap()).await
    }
}

#[tokio::test]
async fn a_database_whose_certificate_is_proven_is_migrated_and_used() {
    let given = Given::start().await;
    let run = given.migrator("localhost", "", "ca.pem").await;
    assert_eq!(run.code, Some(0), "{}", run.said());
    let how = format!("sslmode=verify-full&sslrootcert={}", given.authority("ca.pem"));
    let store = Store::connect(&given.url("app", "localhost", &how)).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
    let mut app = PgConnection::connect(&given.url("app", "localhost", &how)).await.unwrap();
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut app)
        .await
        .unwrap();
    assert!(encrypted);
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused_and_so_is_a_way_without_tls() {
    let given = Given::start().await;
    let mut said = Vec::new();
    // Another authority; another name than the certificate's; no TLS at all.
    for (host, how, authority) in [
        ("localhost", "", "another.pem"),
        ("127.0.0.1", "", "ca.pem"),
        ("localhost", "sslmode=disable", "ca.pem"),
        ("localhost", "", "nothing.pem"),
    ] {
        let run = given.migrator(host, how, authority).await;
        assert_eq!(run.code, Some(3), "{}", run.said());
        let folder = given.folder.path().display().to_string();
        said.push(run.said().replace(&folder, "FOLDER").replace("::1", "127.0.0.1"));
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    cannot reach the database that `DATABASE_URL` names: invalid peer certificate: UnknownIssuer (its authority is in the file that `sslrootcert` or PGSSLROOTCERT names); check that it runs and the login is right
    cannot reach the database that `DATABASE_URL` names: invalid peer certificate: certificate not valid for name \"127.0.0.1\"; certificate is only valid for DnsName(\"localhost\") (its authority is in the file that `sslrootcert` or PGSSLROOTCERT names); check that it runs and the login is right
    cannot reach the database that `DATABASE_URL` names: no pg_hba.conf entry for host \"127.0.0.1\
    cannot reach the database that `DATABASE_URL` names: its socket, or the file that `sslrootcert` or PGSSLROOTCERT names, is not there (No such file or directory (os error 2)); check that it runs and the login is right
    "#);
    let how = format!("sslmode=verify-full&sslrootcert={}", given.authority("another.pem"));
    let refused = Store::connect(&given.url("app", "localhost", &how)).await.unwrap_err();
    assert!(matches!(refused, store::Error::Unavailable(_)), "{refused:?}");
}
