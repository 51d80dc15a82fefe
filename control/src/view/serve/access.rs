//! Who may see the web view: a token, and names that a browser cannot be tricked into.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, COOKIE, HOST};
use axum::http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Shortest token that is taken.
const TOKEN_BYTES: usize = 16;

/// What a viewer must know. Kept as a digest, compared in constant time.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    digest: [u8; 32],
    /// What a browser keeps in its place: made from the token, so that it outlives the run.
    cookie: String,
}

/// A token that is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Too easily guessed.
    #[error(
        "a token has at least {TOKEN_BYTES} characters; make one with: head -c 24 /dev/urandom | base64"
    )]
    Short,
    /// The file cannot be read.
    #[error("reading the token from {path}: {source}")]
    File { path: String, source: std::io::Error },
}

impl Token {
    /// The token as it is given: itself, or `@FILE`, whose first line it is.
    ///
    /// # Errors
    /// When the file cannot be read, or the token is too short.
    pub(crate) fn read(given: &str) -> Result<Self, TokenError> {
        let text = match given.strip_prefix('@') {
            None => given.to_owned(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| TokenError::File { path: path.to_owned(), source })?,
        };
        let text = text.lines().next().unwrap_or_default().trim();
        if text.len() < TOKEN_BYTES {
            return Err(TokenError::Short);
        }
        let cookie = Sha256::new().chain_update("pfs cookie ").chain_update(text).finalize();
        let cookie = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { digest: Sha256::digest(text).into(), cookie })
    }

    /// Whether `given` is the token; takes as long for any of its length.
    fn is(&self, given: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(given).into();
        digest.ct_eq(&self.digest).into()
    }

    fn is_cookie(&self, given: &str) -> bool {
        given.as_bytes().ct_eq(self.cookie.as_bytes()).into()
    }
}

/// What a request shows of its right to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It may be answered.
    Granted,
    /// It has the token in its address: the browser is to keep a cookie instead.
    ByAddress,
    /// It has no token, or a wrong one.
    Denied,
    /// It names a host that this is not.
    WrongHost,
}

/// The door of one address.
#[derive(Clone, Debug)]
pub(super) struct Door {
    token: Option<Token>,
    /// Only names that cannot be pointed here by others' name servers.
    local: bool,
    /// Cookies are shared by all ports of a host, so the name has the port.
    cookie: String,
}

impl Door {
    /// Of the listener at `address`.
    pub(super) fn new(token: Option<Token>, address: SocketAddr) -> Self {
        let cookie = format!("pfs_{}", address.port());
        Self { token, local: address.ip().is_loopback(), cookie }
    }

    /// Looks at a request. `open` is what needs no token.
    pub(super) fn look(&self, headers: &HeaderMap, uri: &Uri, open: bool) -> Access {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        // On loopback every page in a browser here can reach us, under any name that its own
        // server gives our address; elsewhere the token keeps strangers out.
        if self.local && !host.is_some_and(is_local) {
            return Access::WrongHost;
        }
        let Some(token) = self.token.as_ref().filter(|_| !open) else { return Access::Granted };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if bearer.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|it| token.is(it)) {
            return Access::Granted;
        }
        if self.cookies(headers).any(|it| token.is_cookie(it)) {
            return Access::Granted;
        }
        match query_token(uri).is_some_and(|it| token.is(&it)) {
            true => Access::ByAddress,
            false => Access::Denied,
        }
    }

    /// The header that makes a browser keep its right.
    pub(super) fn set_cookie(&self) -> Option<String> {
        let value = &self.token.as_ref()?.cookie;
        Some(format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800", self.cookie))
    }

    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
    }
}

/// Whether `host` (a name and perhaps a port) can only mean this machine's own address: a page of
/// another site has a name of its own, wherever that points.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// The value of `token` in an address's query, its escapes undone.
fn query_token(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == "token")?.1;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef+/";

    fn door(address: &str, token: Option<&str>) -> Door {
        let token = token.map(|token| Token::read(token).expect("long enough"));
        Door::new(token, address.parse().expect("an address"))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (axum::http::HeaderName::from_static(name), value.parse().expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn look(door: &Door, uri: &str, pairs: &[(&'static str, &str)]) -> Access {
        door.look(&headers(pairs), &uri.parse().expect("an address"), false)
    }

    #[test]
    fn names_that_others_can_point_here_are_refused() {
        let door = door("127.0.0.1:9000", None);
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1:9000", "127.0.0.2", "[::1]:9000"] {
            assert_eq!(look(&door, "/", &[("host", host)]), Access::Granted, "{host}");
        }
        for host in ["evil.example", "evil.example:9000", "localhost.evil.example", "", "[", "a@b"]
        {
            assert_eq!(look(&door, "/", &[("host", host)]), Access::WrongHost, "{host}");
        }
        assert_eq!(look(&door, "/", &[]), Access::WrongHost);
    }

    #[test]
    fn a_token_opens_by_header_cookie_or_once_by_address() {
        let door = door("0.0.0.0:9000", Some(TOKEN));
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(look(&door, "/", &[("authorization", &bearer)]), Access::Granted);
        assert_eq!(look(&door, "/?a=b&token=0123456789abcdef%2B/", &[]), Access::ByAddress);
        let set = door.set_cookie().expect("a cookie");
        assert!(!set.contains(TOKEN) && set.contains("HttpOnly; SameSite=Strict"), "{set}");
        let cookie = format!("other=1; {}", set.split(';').next().expect("a pair"));
        assert_eq!(look(&door, "/", &[("cookie", &cookie)]), Access::Granted);
        let open = door.look(&HeaderMap::new(), &Uri::from_static("/healthz"), true);
        assert_eq!(open, Access::Granted);
    }

    #[test]
    fn wrong_tokens_open_nothing() {
        let door = door("0.0.0.0:9000", Some(TOKEN));
        for (name, value) in [
            ("authorization", "Bearer 0123456789abcdef+"),
            ("authorization", "Basic 0123456789abcdef+/"),
            ("authorization", TOKEN),
            ("cookie", "pfs_9000=0123456789abcdef+/"),
            ("cookie", "pfs_9001=x; pfs_9000="),
        ] {
            assert_eq!(look(&door, "/", &[(name, value)]), Access::Denied, "{name}: {value}");
        }
        for uri in ["/", "/?token=", "/?token=%", "/?token=%zz", "/?tokens=0123456789abcdef%2B/"] {
            assert_eq!(look(&door, uri, &[]), Access::Denied, "{uri}");
        }
        assert!(matches!(Token::read("short"), Err(TokenError::Short)));
        assert!(matches!(Token::read("@/no/such/file"), Err(TokenError::File { .. })));
    }
}
