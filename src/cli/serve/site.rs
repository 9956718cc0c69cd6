//! What a server answers of the page: its files, the model, and the headers that keep the page from uploading.
//!
//! It knows nothing of sockets, and no other file of the crate: `cargo xtask serve` compiles this very file, so that both
//! servers of the page say the same. Invariant: a request's path is never joined to a folder; it is looked up among the
//! names of files that the folder really holds, so that no spelling of a path can leave it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Headers of every answer. `connect-src 'self'` is the promise that nothing the user writes leaves the device.
pub const HEADERS: [(&str, &str); 7] = [
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    // A rebuilt page must show at the next reload, and the page keeps the model itself.
    ("Cache-Control", "no-cache"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types apprentice dompurify",
    ),
];

/// What an answer of plain words is.
pub const PLAIN: &str = "text/plain; charset=utf-8";

/// The page's folder and the model beside it.
pub struct Site {
    dist: PathBuf,
    model: PathBuf,
    model_json: String,
}

/// What a path names.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// A file, and its media type.
    File(PathBuf, &'static str),
    /// A text, and its media type.
    Text(String, &'static str),
    /// Nothing.
    Missing,
}

/// An answer to a request, without the headers that all have.
pub struct Reply {
    /// HTTP's status.
    pub status: u16,
    /// Headers of this answer; the body's length is not among them.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Content,
}

/// The body of a reply.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// Bytes of a file.
    Part {
        /// The file.
        path: PathBuf,
        /// The first byte.
        first: u64,
        /// How many.
        length: u64,
    },
}

impl Reply {
    /// An answer in words.
    pub fn text(status: u16, body: &str, kind: &str) -> Reply {
        let headers = vec![("Content-Type", kind.to_string())];
        Reply { status, headers, body: Content::Text(body.into()) }
    }
}

impl Site {
    /// A site of a built page and a model whose sha256 (hex) is known, for `/model.json`.
    pub fn new(dist: PathBuf, model: &Path, sha256: &str) -> io::Result<Self> {
        let name = model.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::metadata(model)?.len();
        let model_json =
            format!(r#"{{"name":{},"bytes":{bytes},"sha256":"{sha256}"}}"#, json_string(&name));
        Ok(Self { dist, model: model.to_path_buf(), model_json })
    }

    /// The answer to a GET of a target. `range` is the request's header; `takes_gzip` says whether a packed copy, where the
    /// build left one, may be sent in the file's place.
    pub fn reply(&self, target: &str, range: Option<&str>, takes_gzip: bool) -> Reply {
        match self.answer(target) {
            Answer::Missing => Reply::text(404, "there is no such file", PLAIN),
            Answer::Text(body, kind) => Reply::text(200, &body, kind),
            Answer::File(path, kind) => whole_or_part(path, kind, range, takes_gzip)
                .unwrap_or_else(|error| Reply::text(500, &error.to_string(), PLAIN)),
        }
    }

    /// What a request's target (path and query, as sent) names.
    pub fn answer(&self, target: &str) -> Answer {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        match path {
            "/model.gguf" => {
                return Answer::File(self.model.clone(), "application/octet-stream");
            }
            "/model.json" => return Answer::Text(self.model_json.clone(), "application/json"),
            _ => {}
        }
        let Some(name) = path.strip_prefix('/') else { return Answer::Missing };
        let name = if name.is_empty() { "index.html" } else { name };
        let mut files = Vec::new();
        list(&self.dist, "", &mut files);
        // A packed copy is another form of its file, and no file by itself.
        let file = files.into_iter().find(|(listed, _)| listed == name && !name.ends_with(".gz"));
        file.map_or(Answer::Missing, |(name, path)| Answer::File(path, media_type(&name)))
    }
}

/// The bytes `first..=last` that a `Range` header asks of a file of `size` bytes. `Err` is status 416; several
/// ranges at once, other units and nonsense are `Ok(None)`: the whole file, as HTTP allows.
pub fn byte_range(header: &str, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let number = |text: &str| (!text.is_empty()).then(|| text.trim().parse::<u64>());
    match (number(first), number(last)) {
        (Some(Ok(first)), None) if first < size => Ok(Some((first, size - 1))),
        (Some(Ok(first)), Some(Ok(last))) if first <= last && first < size => {
            Ok(Some((first, last.min(size - 1))))
        }
        (Some(Ok(first)), Some(Ok(last))) if last < first => Ok(None),
        (None, Some(Ok(n))) if n > 0 && size > 0 => Ok(Some((size - n.min(size), size - 1))),
        (Some(Ok(_)), None | Some(Ok(_))) | (None, Some(Ok(_))) => Err(()),
        _ => Ok(None),
    }
}

/// A file, or the part of it that was asked for; packed where there is a packed copy and the browser takes one.
fn whole_or_part(
    path: PathBuf,
    kind: &'static str,
    range: Option<&str>,
    takes_gzip: bool,
) -> io::Result<Reply> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    if takes_gzip && range.is_none() && Path::new(&name).is_file() {
        let mut reply = part(name.into(), kind, None)?;
        // Ranges are of the file as it is, so none are offered here.
        reply.headers.retain(|(name, _)| *name != "Accept-Ranges");
        reply.headers.push(("Content-Encoding", "gzip".into()));
        reply.headers.push(("Vary", "Accept-Encoding".into()));
        return Ok(reply);
    }
    part(path, kind, range)
}

fn part(path: PathBuf, kind: &str, range: Option<&str>) -> io::Result<Reply> {
    let size = fs::metadata(&path)?.len();
    let mut headers = vec![("Accept-Ranges", "bytes".into()), ("Content-Type", kind.into())];
    let (status, first, length) = match range.map(|range| byte_range(range, size)) {
        None | Some(Ok(None)) => (200, 0, size),
        Some(Ok(Some((first, last)))) => {
            headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
            (206, first, last - first + 1)
        }
        Some(Err(())) => {
            let mut reply = Reply::text(416, "no such bytes", PLAIN);
            reply.headers.push(("Content-Range", format!("bytes */{size}")));
            return Ok(reply);
        }
    };
    Ok(Reply { status, headers, body: Content::Part { path, first, length } })
}

/// Every regular file under a folder with its `/`-separated name; links are not followed.
fn list(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if kind.is_dir() {
            list(&entry.path(), &format!("{name}/"), files);
        } else if kind.is_file() {
            files.push((name, entry.path()));
        }
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn json_string(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c < ' ' => format!("\\u{:04x}", c as u32),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> (tempfile::TempDir, Site) {
        let dir = tempfile::tempdir().unwrap();
        let dist = dir.path().join("dist");
        fs::create_dir_all(dist.join("engine")).unwrap();
        fs::write(dist.join("index.html"), "page").unwrap();
        fs::write(dist.join("engine/a_bg.wasm"), "wasm").unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let model = dir.path().join("my \"own\".gguf");
        fs::write(&model, "abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let site = Site::new(dist, &model, sha256).unwrap();
        (dir, site)
    }

    #[test]
    fn files_are_found_by_name_with_their_media_type() {
        let (_dir, site) = site();
        let file = |name: &str, kind| Answer::File(site.dist.join(name), kind);
        assert_eq!(site.answer("/?lang=en"), file("index.html", "text/html; charset=utf-8"));
        assert_eq!(site.answer("/engine/a_bg.wasm"), file("engine/a_bg.wasm", "application/wasm"));
        assert_eq!(site.answer("/engine"), Answer::Missing);
        assert!(matches!(site.answer("/model.gguf"), Answer::File(path, _) if path == site.model));
        let json = r#"{"name":"my \"own\".gguf","bytes":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#;
        assert_eq!(site.answer("/model.json"), Answer::Text(json.into(), "application/json"));
    }

    #[test]
    fn no_spelling_of_a_path_leaves_the_folder() {
        let (dir, site) = site();
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path().join("secret"), site.dist.join("link")).unwrap();
        let absolute = dir.path().join("secret").display().to_string();
        let spellings = ["/../secret", "/engine/../../secret", "/%2e%2e/secret", "/..%2fsecret"];
        let more = ["//secret", "/./index.html", "/..\\secret", "secret", "", "/link", "/engine/"];
        for target in spellings.iter().chain(&more).copied().chain([absolute.as_str()]) {
            assert_eq!(site.answer(target), Answer::Missing, "{target}");
        }
    }

    #[test]
    fn byte_ranges_are_those_of_http() {
        for (header, expected) in [
            ("bytes=0-3", Ok(Some((0, 3)))),
            ("bytes=8-", Ok(Some((8, 9)))),
            ("bytes=-4", Ok(Some((6, 9)))),
            ("bytes=-40", Ok(Some((0, 9)))),
            ("bytes=5-99", Ok(Some((5, 9)))),
            ("bytes=10-", Err(())),
            ("bytes=10-12", Err(())),
            ("bytes=-0", Err(())),
            ("bytes=5-4", Ok(None)),
            ("bytes=0-1,4-5", Ok(None)),
            ("lines=0-3", Ok(None)),
            ("bytes=x-", Ok(None)),
        ] {
            assert_eq!(byte_range(header, 10), expected, "{header}");
        }
        assert_eq!(byte_range("bytes=0-", 0), Err(()));
    }
}
