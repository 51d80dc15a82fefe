//! How the two ends of a transfer are sure of each other, from flags.

use std::io::{self, BufRead, IsTerminal};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use pfs_pvrt::transfer::control::Security;
use pfs_pvrt::transfer::control::keys::{Identity, Peers, PublicKey, SharedKey};

use crate::failure::Failure;
use crate::out;

/// Port where none is given.
pub(super) const PORT: u16 = 7373;

/// Flags that both ends have.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// Use the secret in this file, which both ends have, instead of host keys.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_plain")]
    key: Option<PathBuf>,
    /// Folder of this host's key and those that it knows [default: ~/.config/pfs].
    #[arg(long, value_name = "DIR", conflicts_with_all = ["key", "insecure_plain"])]
    keys: Option<PathBuf>,
    /// Encrypt nothing and trust everybody: on links only that nobody else is on.
    #[arg(long)]
    insecure_plain: bool,
}

impl TrustArgs {
    /// The sender's, to the receiver called `host`.
    pub(super) fn of_sender(&self, host: &str, accept_new: bool) -> Result<Security, Failure> {
        if let Some(security) = self.without_hosts()? {
            return Ok(security);
        }
        let folder = self.folder()?;
        let identity = Identity::open(&folder).map_err(Failure::failed)?;
        let name = host.to_owned();
        let ask = Box::new(move |key: &PublicKey| accept_new || asked(&name, key));
        let peers = Peers::Known { file: folder.join("known_hosts"), host: host.to_owned(), ask };
        Ok(Security::Hosts { identity, peers })
    }

    /// The receiver's, which lets in senders with the keys `allowed` and those of its file.
    pub(super) fn of_receiver(&self, allowed: &[PublicKey]) -> Result<Security, Failure> {
        if let Some(security) = self.without_hosts()? {
            return Ok(security);
        }
        let folder = self.folder()?;
        let identity = Identity::open(&folder).map_err(Failure::failed)?;
        let peers = Peers::authorized(&folder, allowed).map_err(Failure::failed)?;
        if matches!(&peers, Peers::Of(keys) if keys.is_empty()) {
            let file = folder.join("authorized_keys");
            return Err(Failure::usage(format!(
                "no sender is let in; use --key FILE on both ends, or --allow with what `pfs send` prints as its key, or write that to {}",
                file.display()
            )));
        }
        Ok(Security::Hosts { identity, peers })
    }

    /// This host's public key, where host keys are used.
    pub(super) fn public(security: &Security) -> Option<PublicKey> {
        match security {
            Security::Hosts { identity, .. } => Some(identity.public()),
            _ => None,
        }
    }

    fn without_hosts(&self) -> Result<Option<Security>, Failure> {
        if self.insecure_plain {
            return Ok(Some(Security::Plain));
        }
        let key = self.key.as_deref().map(SharedKey::read).transpose().map_err(Failure::failed)?;
        Ok(key.map(Security::Shared))
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.keys {
            return Ok(folder.clone());
        }
        let config = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".config"));
        let folder = config.or_else(home).map(|folder| folder.join("pfs"));
        folder
            .ok_or_else(|| Failure::usage("no HOME to keep keys in; use --keys DIR or --key FILE"))
    }
}

/// Asks at the terminal whether to trust a receiver that was never seen.
fn asked(host: &str, key: &PublicKey) -> bool {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return false;
    }
    out::complain(&format!(
        "pfs: {host} is not known here; its key is {key}\nIs this what pfs recv prints there? [y/N]"
    ));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// The addresses of `HOST[:PORT]`.
pub(super) fn resolve(text: &str) -> Result<Vec<SocketAddr>, Failure> {
    let with_port = if text.parse::<std::net::IpAddr>().is_ok() || !text.contains(':') {
        (text.to_owned(), PORT).to_socket_addrs()
    } else {
        text.to_socket_addrs()
    };
    let found: Vec<_> = with_port
        .map_err(|error| Failure::usage(format!("{text}: {error}; write HOST or HOST:PORT")))?
        .collect();
    if found.is_empty() { Err(Failure::usage(format!("{text} has no address"))) } else { Ok(found) }
}

/// Reads a host's key.
pub(super) fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::parse(text)
        .ok_or_else(|| "no key: 44 letters of base64 as pfs send prints them".to_owned())
}

/// `100M`, `1GiB`, `500k` as bytes a second.
pub(super) fn bytes_per_second(text: &str) -> Result<u64, String> {
    let digits =
        text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().trim_end_matches("/s").trim_end_matches('B');
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => f64::from(1 << 20),
        "Gi" => f64::from(1 << 30),
        _ => {
            return Err(format!(
                "`{unit}` is no unit; use k, M, G, KiB, MiB or GiB, bytes a second"
            ));
        }
    };
    let number: f64 =
        number.parse().map_err(|_| format!("`{text}` is no number of bytes a second"))?;
    let rate = number * factor;
    if rate >= 1000.0 { Ok(rate as u64) } else { Err("less than 1 kB a second".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        assert_eq!(bytes_per_second("1500"), Ok(1500));
        assert_eq!(bytes_per_second("1.5M"), Ok(1_500_000));
        assert_eq!(bytes_per_second("10MiB/s"), Ok(10 << 20));
        for text in ["", "M", "1X", "1.2.3k", "10", "-5M"] {
            assert!(bytes_per_second(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_have_a_port_anyway() {
        for (text, port) in [("127.0.0.1", PORT), ("127.0.0.1:5", 5), ("::1", PORT), ("[::1]:6", 6)]
        {
            let port_found = resolve(text).ok().and_then(|all| all.first().map(SocketAddr::port));
            assert_eq!(port_found, Some(port), "{text}");
        }
        assert!(resolve("127.0.0.1:x").is_err());
    }
}
