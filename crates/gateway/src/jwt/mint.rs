//! `gateway token`: makes a token with a key of the file, for development and for tests.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line is answered on the terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Parser;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use service::Subcommand;
use service::identity::Role;

use super::backend;
use super::jwks::{self, Material};

/// Exit code of a token that could not be made.
const FAILED: u8 = 1;

/// The subcommand.
pub const TOKEN: Subcommand = Subcommand {
    name: "token",
    what: "print a token made with a key of the file: `gateway token --help`",
    run,
};

/// Prints a signed token for the API on standard output.
#[derive(Parser)]
#[command(name = "gateway token", disable_version_flag = true)]
struct Arguments {
    /// Who the token is for.
    #[arg(long)]
    subject: String,
    /// What it may do: `viewer`, `releaser` or `operator`.
    #[arg(long)]
    role: Role,
    /// How long it is valid, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    ttl: u32,
    /// The key set, or a single key, that signs it: a secret (`oct`), or an Ed25519 pair with its private half.
    #[arg(long, value_name = "FILE", env = "TOKEN_KEYS_FILE")]
    key: PathBuf,
    /// Which key of the set signs; without it the first one that can.
    #[arg(long)]
    kid: Option<String>,
    /// Who says so.
    #[arg(long, env = "TOKEN_ISSUER", default_value = super::NAME)]
    issuer: String,
    /// For whom it is meant.
    #[arg(long, env = "TOKEN_AUDIENCE", default_value = super::NAME)]
    audience: String,
}

/// A key that can sign, by name.
struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: EncodingKey,
}

fn run(arguments: &[String]) -> ExitCode {
    let typed = std::iter::once("gateway token".to_owned()).chain(arguments.iter().cloned());
    let arguments = Arguments::try_parse_from(typed).unwrap_or_else(|error| error.exit());
    match token(&arguments) {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gateway: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn token(arguments: &Arguments) -> anyhow::Result<String> {
    backend::install();
    let SigningKey { id, algorithm, key } = signing_key(arguments)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("this host's clock stands before 1970")?;
    let expires = now + Duration::from_secs(arguments.ttl.into());
    let claims = serde_json::json!({
        "iss": arguments.issuer, "aud": arguments.audience, "sub": arguments.subject, "role": arguments.role,
        "iat": now.as_secs(), "exp": expires.as_secs(),
    });
    let header = Header { kid: id, ..Header::new(algorithm) };
    encode(&header, &claims, &key).context("the token cannot be signed")
}

fn signing_key(arguments: &Arguments) -> anyhow::Result<SigningKey> {
    let file = arguments.key.display();
    let keys =
        jwks::read(&arguments.key).and_then(|text| jwks::jwks(&text)).with_context(|| format!("`{file}`"))?;
    for jwk in keys {
        if arguments.kid.is_some() && jwk.kid != arguments.kid {
            continue;
        }
        let material = jwk.material().map_err(|what| anyhow::anyhow!("`{file}`: {what}"))?;
        let (algorithm, key) = match material {
            Some(Material::Secret(secret)) => (Algorithm::HS256, EncodingKey::from_secret(&secret)),
            Some(Material::Ed25519 { public, private: Some(private) }) => {
                (Algorithm::EdDSA, EncodingKey::from_ed_der(&[private, public].concat()))
            }
            _ => continue,
        };
        return Ok(SigningKey { id: jwk.kid, algorithm, key });
    }
    match &arguments.kid {
        Some(id) => bail!(
            "`{file}` holds no key `{id}` that signs: a secret (`oct`) or an Ed25519 pair with its private half"
        ),
        None => bail!(
            "`{file}` holds no key that signs: a secret (`oct`) or an Ed25519 pair with its private half"
        ),
    }
}
