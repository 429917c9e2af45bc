//! `orfeas nats credentials`: a random password for every user of `nats/users.conf`.
//!
//! The server gets hashes, each service a file of its own that only its owner can read, and nobody sees a password.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::exit::{Ended, Exit, say};

/// The users of nats/users.conf, and the variable that stands for each one's password there.
const USERS: [&str; 7] = ["sys", "admin", "ingest", "infer", "export", "metrics", "client"];
/// Random bytes of a password.
const ENTROPY: usize = 24;
/// bcrypt is there so that a stolen hash is no password. Ours have 192 random bits, which nobody guesses at any price,
/// and the server computes the hash at every connect: the cheapest cost is the right one.
const COST: u32 = 4;

/// Make a random password for every user
#[derive(Args)]
pub struct Credentials {
    /// Folder for the password files, one for each user
    #[arg(long, value_name = "DIR", default_value = "secrets")]
    out: PathBuf,
    /// File of hashes that the server's configuration includes
    #[arg(long, value_name = "FILE", default_value = "nats/hashes.conf")]
    hashes: PathBuf,
    /// Make new passwords in place of those that are there: the server and all services must then be restarted
    #[arg(long)]
    rotate: bool,
    /// The three hosts of a cluster, each with its route port if that is not 6222; writes route.conf beside the hashes
    #[arg(long, value_name = "HOST,HOST,HOST", value_delimiter = ',')]
    cluster: Vec<String>,
}

impl Credentials {
    pub fn run(self) -> Ended {
        if ![0, 3].contains(&self.cluster.len()) {
            let named = self.cluster.len();
            return Err(Exit::usage(format!(
                "a cluster has three servers; --cluster names {named}, with commas between"
            )));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.out)
            .map_err(|error| cannot(&self.out, &error))?;
        let mut hashes = String::from("# Made by `orfeas nats credentials`; users.conf reads it.\n");
        let (mut made, mut kept) = (0, 0);
        for user in USERS {
            let file = self.out.join(format!("nats-{user}"));
            let password = match fs::read_to_string(&file) {
                Ok(password) if !self.rotate && !password.trim().is_empty() => {
                    kept += 1;
                    password.trim().to_owned()
                }
                _ => {
                    made += 1;
                    let password = random()?;
                    write_private(&file, &password)?;
                    password
                }
            };
            let hash = bcrypt::hash(&password, COST).map_err(Exit::other)?;
            hashes += &format!("NATS_{}_PASSWORD: \"{hash}\"\n", user.to_uppercase());
        }
        let grafana = self.out.join("grafana-admin");
        if self.rotate || !grafana.exists() {
            write_private(&grafana, &random()?)?;
        }
        write_private(&self.hashes, &hashes)?;
        if let [one, two, three] = self.cluster.as_slice() {
            // Servers log in to each other with this one, so each must know it as it is.
            let password = random()?;
            let mut routes = format!("# Made by `orfeas nats credentials`.\nNATS_ROUTE_PASSWORD: \"{password}\"\n");
            for (number, host) in (1..).zip([one, two, three]) {
                routes += &format!("NATS_ROUTE_{number}: \"nats://route:{password}@{}\"\n", with_port(host));
            }
            write_private(&self.hashes.with_file_name("route.conf"), &routes)?;
        }
        say(format!(
            "{made} passwords made and {kept} kept in {}; hashes for the server in {}",
            self.out.display(),
            self.hashes.display()
        ));
        Ok(())
    }
}

fn with_port(host: &str) -> String {
    if host.contains(':') { host.to_owned() } else { format!("{host}:6222") }
}

/// A letter first: the server would read digits alone as a number.
fn random() -> Result<String, Exit> {
    let mut bytes = [0; ENTROPY];
    getrandom::fill(&mut bytes).map_err(|error| Exit::other(format!("the system gives no random bytes: {error}")))?;
    Ok(std::iter::once('p')
        .chain(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from))
        .collect())
}

/// Readable by its owner alone, from its first byte on, and never half written: a server may be reading it.
fn write_private(path: &Path, text: &str) -> Ended {
    let new = path.with_extension("new");
    let write = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // One that an interrupted run left behind may have other permissions.
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> Exit {
    Exit::other(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn credentials(folder: &Path, rotate: bool) -> Credentials {
        Credentials {
            out: folder.join("secrets"),
            hashes: folder.join("nats/hashes.conf"),
            rotate,
            cluster: Vec::new(),
        }
    }

    #[test]
    fn passwords_are_private_hashed_and_kept_until_they_are_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        credentials(folder, false).run().unwrap();
        let password = |user: &str| fs::read_to_string(folder.join(format!("secrets/nats-{user}"))).unwrap();
        let before = password("ingest");
        let hashes = fs::read_to_string(folder.join("nats/hashes.conf")).unwrap();
        assert!(!hashes.contains(&before));
        let line = hashes.lines().find_map(|line| line.strip_prefix("NATS_INGEST_PASSWORD: ")).unwrap();
        assert!(bcrypt::verify(&before, line.trim_matches('"')).unwrap());
        for file in ["secrets/nats-ingest", "nats/hashes.conf", "secrets/grafana-admin"] {
            let mode = fs::metadata(folder.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        assert_eq!(fs::metadata(folder.join("secrets")).unwrap().permissions().mode() & 0o777, 0o700);

        let clustered = |hosts: &[&str]| Credentials {
            cluster: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..credentials(folder, false)
        };
        clustered(&["a", "b", "c:6333"]).run().unwrap();
        let routes = fs::read_to_string(folder.join("nats/route.conf")).unwrap();
        assert!(routes.contains("@a:6222\"") && routes.contains("@c:6333\""), "{routes}");
        assert!(clustered(&["a", "b"]).run().is_err());
        assert_eq!(password("ingest"), before);
        credentials(folder, true).run().unwrap();
        assert_ne!(password("ingest"), before);
        let all: std::collections::BTreeSet<_> = USERS.iter().map(|user| password(user)).collect();
        assert_eq!(all.len(), USERS.len());
    }
}
