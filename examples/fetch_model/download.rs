//! Bringing a file from a server into a part file, going on where an earlier attempt broke off.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::Error;
use crate::own_file;
use crate::size::Lengths;

/// How often a server may break off without giving anything.
const ATTEMPTS: u32 = 4;
/// A server that says nothing for so long has broken off.
const SILENCE: Duration = Duration::from_secs(30);
const CHUNK: usize = 1 << 16;

/// A file that is being fetched: beside the place it is for, and locked while this lives.
pub struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// Takes up what an earlier attempt left of `target`, or begins.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process has it, [`Error::Write`].
    pub fn open(target: &Path) -> Result<Self, Error> {
        let path = beside(target, "part");
        let fail = |reason| Error::Write { path: path.clone(), reason };
        let place = own_file::check_place(target);
        place.map_err(|reason| Error::Write { path: target.to_owned(), reason })?;
        match own_file::open_locked(&path).map_err(fail)? {
            Some(file) => Ok(Self { path, file }),
            None => Err(Error::Busy { path }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn len(&self) -> Result<u64, Error> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|reason| Error::Read { path: self.path.clone(), reason })?.len())
    }

    /// Begins anew with what comes from `origin`.
    fn begin(&self, origin: &Origin) -> Result<(), Error> {
        self.cut(0)?;
        let note = beside(&self.path, "from");
        origin.write(&note).map_err(|reason| Error::Write { path: note, reason })
    }

    fn cut(&self, length: u64) -> Result<(), Error> {
        self.file.set_len(length).map_err(|reason| self.unwritable(reason))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let write = self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(bytes));
        write.map_err(|reason| self.unwritable(reason))
    }

    fn unwritable(&self, reason: io::Error) -> Error {
        Error::Write { path: self.path.clone(), reason }
    }

    /// Gives the file its name, in one step.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn become_file(self, target: &Path) -> Result<(), Error> {
        let kept = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, target));
        kept.map_err(|reason| Error::Write { path: target.to_owned(), reason })?;
        remove(&beside(&self.path, "from"));
        Ok(())
    }

    /// Removes it: what it holds is of no use.
    pub fn discard(self) {
        remove(&self.path);
        remove(&beside(&self.path, "from"));
    }
}

/// A file with another ending after its own.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// What cannot be removed does no harm: it is looked at again the next time.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Which file of which server: parts of two must not be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    url: String,
    /// The server's name for this version of the file: its ETag or the time of the last change.
    version: String,
}

impl Origin {
    fn of(url: &str, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok();
        // A weak tag says that versions are alike, not that they are the same bytes.
        let tag = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
        let version = tag.or_else(|| text(header::LAST_MODIFIED)).unwrap_or_default().to_owned();
        Self { url: url.to_owned(), version }
    }

    fn read(note: &Path) -> Option<Self> {
        let text = String::from_utf8(own_file::read(note).ok()??).ok()?;
        let mut lines = text.lines();
        Some(Self { url: lines.next()?.into(), version: lines.next().unwrap_or_default().into() })
    }

    fn write(&self, note: &Path) -> io::Result<()> {
        own_file::write(note, format!("{}\n{}\n", self.url, self.version).as_bytes())
    }
}

/// The program's way to the network: its proxies are those of the environment.
pub fn agent(url: &str) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        // What begins encrypted is not redirected to what is not.
        .https_only(url.starts_with("https:"))
        .http_status_as_error(false)
        .user_agent(concat!("davidmatte-fetch_model/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
        .into()
}

/// Fetches `url` into `part`, if it has one of these lengths.
///
/// # Errors
/// [`Error::Fetch`], [`Error::BrokenOff`], [`Error::Length`], [`Error::Size`], [`Error::Space`],
/// [`Error::Write`].
pub fn fetch(
    agent: &Agent,
    url: &str,
    part: &mut Part,
    lengths: &Lengths,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let mut fruitless = 0;
    loop {
        let before = part.len()?;
        let reason = match attempt(agent, url, part, lengths, bar)? {
            Attempt::Whole(length) => return lengths.check(url, length),
            Attempt::Broken(reason) => reason,
        };
        fruitless = if part.len()? > before { 0 } else { fruitless + 1 };
        if fruitless == ATTEMPTS {
            let url = url.to_owned();
            return Err(match part.len()? {
                0 => Error::Fetch { url, reason: format!("{reason}, {ATTEMPTS} times") },
                got => Error::BrokenOff { url, times: ATTEMPTS, reason, got },
            });
        }
        std::thread::sleep(Duration::from_millis(200 << fruitless));
    }
}

enum Attempt {
    /// All is there: so many bytes.
    Whole(u64),
    /// The connection ended for this reason.
    Broken(String),
}

/// Asks for what is missing, and takes what comes.
fn attempt(
    agent: &Agent,
    url: &str,
    part: &mut Part,
    lengths: &Lengths,
    bar: &ProgressBar,
) -> Result<Attempt, Error> {
    let fetch = |reason: String| Error::Fetch { url: url.into(), reason };
    let origin = Origin::read(&beside(part.path(), "from")).filter(|origin| origin.url == url);
    let got = if origin.is_some() { part.len()? } else { 0 };
    // Compression in transit would make lengths and ranges those of something else.
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if let Some(origin) = origin.as_ref().filter(|_| got > 0) {
        request = request.header(header::RANGE, format!("bytes={got}-"));
        if !origin.version.is_empty() {
            request = request.header(header::IF_RANGE, &origin.version);
        }
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(ureq::Error::Io(error)) if is_breaking_off(error.kind()) => {
            return Ok(Attempt::Broken(error.to_string()));
        }
        Err(error @ ureq::Error::Timeout(_)) => return Ok(Attempt::Broken(error.to_string())),
        Err(error) => return Err(fetch(error.to_string())),
    };
    let total = match response.status() {
        StatusCode::OK => {
            part.begin(&Origin::of(url, response.headers()))?;
            response.body().content_length()
        }
        StatusCode::PARTIAL_CONTENT
            if origin.is_some_and(|origin| origin != Origin::of(url, response.headers())) =>
        {
            part.cut(0)?;
            return Ok(Attempt::Broken("the file has changed on the server".into()));
        }
        StatusCode::PARTIAL_CONTENT => match content_range(&response) {
            Some((start, total)) if start == got && got > 0 => total,
            _ => return Err(fetch("the server gave another range than was asked for".into())),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if got > 0 => {
            if unsatisfied_total(&response) == Some(got) {
                return Ok(Attempt::Whole(got));
            }
            part.cut(0)?;
            return Ok(Attempt::Broken("what was there is longer than the file".into()));
        }
        status if status.is_server_error() => {
            return Ok(Attempt::Broken(format!("status {status}")));
        }
        status => return Err(fetch(format!("status {status}"))),
    };
    if let Some(total) = total {
        check_space(part, total.saturating_sub(part.len()?))?;
        lengths.check(url, total)?;
        bar.set_length(total);
    }
    take(url, &mut response, part, total, lengths, bar)
}

/// Whether another attempt may do better.
fn is_breaking_off(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | TimedOut)
}

/// Appends the body to the part file.
fn take(
    url: &str,
    response: &mut Response<Body>,
    part: &mut Part,
    total: Option<u64>,
    lengths: &Lengths,
    bar: &ProgressBar,
) -> Result<Attempt, Error> {
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut chunk = vec![0; CHUNK];
    let mut length = part.len()?;
    loop {
        bar.set_position(length);
        match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                length += read as u64;
                lengths.check_begun(url, length)?;
                part.append(&chunk[..read])?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Attempt::Broken(error.to_string())),
        }
    }
    match total {
        Some(total) if length < total => {
            Ok(Attempt::Broken(format!("{length} of {total} bytes came")))
        }
        Some(total) if length > total => {
            part.cut(0)?;
            Err(Error::Length { url: url.into(), got: length, expected: total })
        }
        _ => Ok(Attempt::Whole(length)),
    }
}

/// Start and total of `Content-Range: bytes START-END/TOTAL`.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// Total of `Content-Range: bytes */TOTAL`.
fn unsatisfied_total(response: &Response<Body>) -> Option<u64> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes */")?.parse().ok()
}

/// Fails before a disk is filled for nothing.
fn check_space(part: &Part, needed: u64) -> Result<(), Error> {
    #[cfg(unix)]
    if let Ok(disk) = rustix::fs::fstatvfs(&part.file) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            let folder = part.path.parent().map(Path::to_owned).unwrap_or_default();
            return Err(Error::Space { folder, free, needed });
        }
    }
    #[cfg(not(unix))]
    let _ = (part, needed);
    Ok(())
}
