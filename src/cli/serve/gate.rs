//! Who may ask: the names that the server answers to, and the origins of pages that may call it.
//!
//! It knows no sockets. Two attacks come from pages that the user merely visits: a page can call any address of the machine,
//! which its `Origin` tells, and it can give its own name the server's address ("DNS rebinding"), which `Host` tells.
//! Invariant: a request with a foreign origin or a foreign name is refused, whatever it asks for.

use std::net::IpAddr;

/// What is let in.
#[derive(Debug, Clone)]
pub struct Gate {
    names: Vec<String>,
    /// Any address is a name: a page can give its name any address, but it cannot be named like one.
    addresses: bool,
    origins: Vec<String>,
}

/// Whose page asks.
#[derive(Debug, PartialEq)]
pub enum Origin {
    /// No other site's: a program's, or the server's own page.
    Own,
    /// One that was let in.
    Let(String),
    /// Any other.
    Foreign,
}

impl Gate {
    /// What a server on `host` lets in, with pages of `origins`.
    pub fn new(host: &str, origins: Vec<String>) -> Gate {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
        names.push(host.to_ascii_lowercase());
        Gate { names, addresses: !is_loopback(host), origins }
    }

    /// Whether the server answers to the name of a `Host` header.
    pub fn knows(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        self.names.contains(&name) || self.addresses && name.parse::<IpAddr>().is_ok()
    }

    /// Whose page sent an `Origin` header beside a `Host` header.
    pub fn origin(&self, origin: Option<&str>, host: &str) -> Origin {
        match origin {
            None => Origin::Own,
            Some(origin) if self.origins.iter().any(|let_in| let_in == origin) => {
                Origin::Let(origin.into())
            }
            Some(origin) if origin.eq_ignore_ascii_case(&format!("http://{host}")) => Origin::Own,
            Some(_) => Origin::Foreign,
        }
    }
}

/// Whether a host is this machine alone.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An origin as people write it: a scheme and a name, nothing behind them.
pub fn parse_origin(text: &str) -> Result<String, String> {
    let name = text.split_once("://").map(|(scheme, name)| (!scheme.is_empty(), name));
    match name {
        Some((true, name)) if !name.is_empty() && !name.contains(['/', '*', ' ', '?', '#']) => {
            Ok(text.into())
        }
        _ => Err(format!(
            "`{text}` is no origin; write for example http://localhost:3000, without a path"
        )),
    }
}

/// A `Host` header without its port, and an IPv6 address without its brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let here = Gate::new("127.0.0.1", Vec::new());
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert!(here.knows(host), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example:8080", "192.168.0.7", "localhost.evil"]
        {
            assert!(!here.knows(host), "{host}");
        }
    }

    #[test]
    fn an_open_server_answers_to_addresses_and_its_name_but_to_no_other_name() {
        let open = Gate::new("0.0.0.0", Vec::new());
        assert!(open.knows("192.168.0.7:8080") && open.knows("[fe80::1]:8080"));
        assert!(!open.knows("evil.example:8080"));
        let named = Gate::new("box.local", Vec::new());
        assert!(named.knows("Box.local:8080") && !named.knows("other.local"));
    }

    #[test]
    fn foreign_pages_are_told_from_the_servers_own() {
        let gate = Gate::new("127.0.0.1", vec!["http://localhost:3000".into()]);
        let origin = |origin| gate.origin(origin, "localhost:8080");
        assert_eq!(origin(None), Origin::Own);
        assert_eq!(origin(Some("http://localhost:8080")), Origin::Own);
        assert_eq!(
            origin(Some("http://localhost:3000")),
            Origin::Let("http://localhost:3000".into())
        );
        for foreign in
            ["null", "", "http://localhost:3001", "https://localhost:3000", "https://evil.example"]
        {
            assert_eq!(origin(Some(foreign)), Origin::Foreign, "{foreign}");
        }
    }

    #[test]
    fn an_origin_has_no_path_and_no_star() {
        for good in ["http://localhost:3000", "https://app.example", "app://obsidian.md"] {
            assert_eq!(parse_origin(good), Ok(good.to_string()));
        }
        for bad in
            ["*", "https://*.example", "localhost:3000", "http://localhost/", "http://", "://x"]
        {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
    }
}
