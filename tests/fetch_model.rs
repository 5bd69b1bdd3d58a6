//! The example `fetch_model`, against servers on the loopback that behave well and badly.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "common/examples.rs"]
mod examples;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use examples::{example, failure, files_in, stdout};
use sha2::{Digest, Sha256};

const FILE: &str = "foreground-segmentation-model-vitb16_384.onnx";

/// A network with DAViD's inputs and outputs, large enough to be broken off.
fn network() -> Vec<u8> {
    fixture("luma.onnx")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

// -- The server ------------------------------------------------------------------------------------

/// What came with a request.
#[derive(Clone, Debug, Default)]
struct Request {
    line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let line = lines.next()?;
        let split = |line: String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(split).collect();
        Some(Self { line, headers })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that is asked for.
    fn start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// Answers each connection by a closure, which is told the connection's number from 0 on.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn new(answer: impl Fn(usize, &Request, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                if let Some(request) = Request::read(&stream) {
                    seen.lock().unwrap().push(request.clone());
                    answer(number, &request, &mut stream);
                }
            }
        });
        Self { address, requests }
    }

    /// One that does as it should.
    fn honest(bytes: Vec<u8>) -> Self {
        Self::new(move |_, request, stream| serve(stream, request, &bytes, bytes.len()))
    }

    fn url(&self) -> String {
        format!("http://{}/model.onnx", self.address)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Whoever is answered may have gone away.
fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.flush();
}

/// Gives the range that is asked for, no more than up to byte `end` of it.
fn serve(stream: &mut TcpStream, request: &Request, bytes: &[u8], end: usize) {
    let (start, total) = (request.start().unwrap_or(0), bytes.len());
    let status = match request.start() {
        None => "200 OK".to_owned(),
        Some(start) if start < total => {
            format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}", total - 1)
        }
        Some(_) => {
            let head = "416 Range Not Satisfiable\r\nContent-Length: 0\r\nContent-Range: bytes */";
            return send(stream, &format!("{head}{total}"), b"");
        }
    };
    let head = format!("{status}\r\nContent-Length: {}\r\nETag: \"one\"", total - start);
    send(stream, &head, &bytes[start..end.max(start)]);
}

// -- The program -----------------------------------------------------------------------------------

/// A user's folder that ends with the test.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("ein nutzer ü").tempdir().unwrap())
    }

    /// Of a network that is far smaller than DAViD's.
    fn command(&self, url: &str) -> Command {
        let mut command = self.command_by_size(url);
        command.arg("--any-size");
        command
    }

    fn command_by_size(&self, url: &str) -> Command {
        let mut command = example("fetch_model");
        command.env("XDG_DATA_HOME", self.0.path()).args(["david-base", "--url", url]);
        command
    }

    fn fetch(&self, url: &str) -> Output {
        self.command(url).output().unwrap()
    }

    fn models(&self) -> PathBuf {
        self.0.path().join("davidmatte/models")
    }

    fn model(&self) -> PathBuf {
        self.models().join(FILE)
    }

    /// A failure that leaves nothing behind.
    fn fails(&self, url: &str, words: &[&str]) {
        let message = failure(&self.fetch(url));
        for word in words {
            assert!(message.contains(word), "`{word}` in {message}");
        }
        assert_eq!(files_in(&self.models()), [""; 0], "{message}");
    }
}

#[test]
fn a_model_is_fetched_and_recorded() {
    let (user, server) = (User::new(), Server::honest(network()));
    let text = stdout(&user.fetch(&server.url()));
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("`{part}` in {text}"));
    assert!(at("licence: MIT") < at("Fetched"));
    assert!(at("428.42 MB") < at("Fetched"));
    assert!(text.contains("davidmatte model=david-base !"), "{text}");
    assert_eq!(std::fs::read(user.model()).unwrap(), network());
    assert_eq!(files_in(&user.models()), [FILE.to_owned(), format!("{FILE}.sha256")]);
    let record = std::fs::read_to_string(user.models().join(format!("{FILE}.sha256"))).unwrap();
    let digits: String = Sha256::digest(network()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(record, format!("{digits}  {FILE}\n"), "as sha256sum --check reads it");
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));

    // The second time nothing is fetched.
    let text = stdout(&user.fetch(&server.url()));
    assert!(text.contains("already there") && text.contains("model=david-base"), "{text}");
    assert_eq!(server.requests().len(), 1);
    stdout(&user.command(&server.url()).arg("--force").output().unwrap());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_folder_that_is_not_searched_is_named_by_its_path() {
    let (user, server) = (User::new(), Server::honest(network()));
    let folder = user.0.path().join("elsewhere");
    let output = user.command(&server.url()).arg("--folder").arg(&folder).output().unwrap();
    let expected = format!("model=\"{}\"", folder.join(FILE).display());
    assert!(stdout(&output).contains(&expected));
    assert_eq!(files_in(&folder), [FILE.to_owned(), format!("{FILE}.sha256")]);
}

#[test]
fn what_breaks_off_is_gone_on_with() {
    let bytes = network();
    let third = bytes.len() / 3;
    let server = Server::new(move |number, request, stream| {
        serve(stream, request, &bytes, (number + 1) * third);
    });
    let user = User::new();
    stdout(&user.fetch(&server.url()));
    assert_eq!(std::fs::read(user.model()).unwrap(), network());
    let starts: Vec<_> = server.requests().iter().map(Request::start).collect();
    assert_eq!(starts[..3], [None, Some(third), Some(2 * third)]);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"one\""));
}

#[test]
fn a_later_run_goes_on_with_what_broke_off() {
    let bytes = network();
    let half = bytes.len() / 2;
    let healed = Arc::new(Mutex::new(false));
    let is_healed = healed.clone();
    let server = Server::new(move |_, request, stream| {
        let end = if *is_healed.lock().unwrap() { bytes.len() } else { half };
        serve(stream, request, &bytes, end);
    });
    let user = User::new();
    let message = failure(&user.fetch(&server.url()));
    assert!(message.contains("broke off") && message.contains("run the same command"), "{message}");
    assert!(!user.model().exists());
    assert_eq!(
        std::fs::read(user.models().join(format!("{FILE}.part"))).unwrap(),
        network()[..half]
    );

    *healed.lock().unwrap() = true;
    let before = server.requests().len();
    stdout(&user.fetch(&server.url()));
    assert_eq!(std::fs::read(user.model()).unwrap(), network());
    assert_eq!(server.requests()[before].start(), Some(half));
    assert_eq!(files_in(&user.models()), [FILE.to_owned(), format!("{FILE}.sha256")]);
}

#[test]
fn parts_of_two_files_are_not_put_together() {
    // The first half is another file's: by another address, and by the same with another ETag.
    let other = vec![0x55; network().len() / 2];
    let bytes = network();
    let ignores_if_range = Server::honest(bytes.clone());
    for (url, version) in [
        ("http://127.0.0.1:1/other.onnx".to_owned(), "\"one\""),
        (ignores_if_range.url(), "\"another\""),
    ] {
        let user = User::new();
        std::fs::create_dir_all(user.models()).unwrap();
        std::fs::write(user.models().join(format!("{FILE}.part")), &other).unwrap();
        std::fs::write(
            user.models().join(format!("{FILE}.part.from")),
            format!("{url}\n{version}\n"),
        )
        .unwrap();
        stdout(&user.fetch(&ignores_if_range.url()));
        assert_eq!(std::fs::read(user.model()).unwrap(), bytes);
    }
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_again() {
    let bytes = network();
    let server = Server::new(move |number, _, stream| {
        let end = if number == 0 { bytes.len() / 2 } else { bytes.len() };
        let head = format!("200 OK\r\nContent-Length: {}", bytes.len());
        send(stream, &head, &bytes[..end]);
    });
    let user = User::new();
    stdout(&user.fetch(&server.url()));
    assert_eq!(std::fs::read(user.model()).unwrap(), network());
    assert_eq!(server.requests()[1].start(), Some(network().len() / 2));
}

#[test]
fn a_part_that_is_whole_is_not_fetched_again() {
    let (user, server) = (User::new(), Server::honest(network()));
    std::fs::create_dir_all(user.models()).unwrap();
    std::fs::write(user.models().join(format!("{FILE}.part")), network()).unwrap();
    let from = format!("{}\n\"one\"\n", server.url());
    std::fs::write(user.models().join(format!("{FILE}.part.from")), from).unwrap();
    stdout(&user.fetch(&server.url()));
    let requests = server.requests();
    // Asks for what comes behind it, which is nothing.
    assert_eq!([requests.len(), requests[0].start().unwrap()], [1, network().len()]);
    assert_eq!(std::fs::read(user.model()).unwrap(), network());
}

#[test]
fn redirects_are_followed_but_not_without_end() {
    let target = Server::honest(network());
    let address = target.url();
    let server = Server::new(move |_, _, stream| {
        send(stream, &format!("302 Found\r\nContent-Length: 0\r\nLocation: {address}"), b"");
    });
    let user = User::new();
    stdout(&user.fetch(&server.url()));
    assert_eq!(std::fs::read(user.model()).unwrap(), network());

    let circle = Server::new(|_, _, stream| {
        send(stream, "302 Found\r\nContent-Length: 0\r\nLocation: /model.onnx", b"");
    });
    User::new().fails(&circle.url(), &["could not be fetched", "redirect"]);
}

#[test]
fn a_lie_about_the_length_is_found_out() {
    // More is announced than there is: the connection ends early, time and again.
    let bytes = network();
    let more = Server::new(move |_, request, stream| {
        let mut long = bytes.clone();
        long.extend([0; 1000]);
        serve(stream, request, &long, bytes.len());
    });
    let user = User::new();
    assert!(failure(&user.fetch(&more.url())).contains("broke off"));
    assert!(!user.model().exists());

    // Less is announced: the rest does not belong to the answer, and what is left is no network.
    let bytes = network();
    let less = Server::new(move |_, _, stream| {
        send(stream, &format!("200 OK\r\nContent-Length: {}", bytes.len() - 20), &bytes);
    });
    User::new().fails(&less.url(), &["no matting network"]);

    // Another range than was asked for.
    let bytes = network();
    let shifted = Server::new(move |number, request, stream| match number {
        0 => serve(stream, request, &bytes, 100),
        _ => {
            let total = bytes.len();
            let head = format!(
                "206 Partial Content\r\nContent-Range: bytes 0-{}/{total}\r\nETag: \"one\"\r\nContent-Length: {total}",
                total - 1
            );
            send(stream, &head, &bytes);
        }
    });
    User::new().fails(&shifted.url(), &["another range"]);
}

#[test]
fn garbage_is_not_kept() {
    let page = Server::honest(b"<html>Please log in to this network.</html>".to_vec());
    User::new().fails(&page.url(), &["no matting network"]);
    User::new().fails(&Server::honest(fixture("two_inputs.onnx")).url(), &["2 inputs"]);
    User::new().fails(&Server::honest(Vec::new()).url(), &["no matting network"]);
    let chatter = Server::new(|_, _, stream| drop(stream.write_all(b"220 mail ready\r\n\r\n")));
    User::new().fails(&chatter.url(), &["could not be fetched"]);
}

#[test]
fn refusals_are_told() {
    let gone =
        Server::new(|_, _, stream| send(stream, "404 Not Found\r\nContent-Length: 4", b"gone"));
    User::new().fails(&gone.url(), &["404", "--url"]);
    assert_eq!(gone.requests().len(), 1, "there is no use in asking again");
    let busy = Server::new(|_, _, stream| send(stream, "503 Busy\r\nContent-Length: 0", b""));
    User::new().fails(&busy.url(), &["503"]);
    assert!(busy.requests().len() > 1);
    User::new().fails("http://127.0.0.1:1/model.onnx", &["could not be fetched"]);
    let plain = Server::honest(network());
    User::new().fails(&plain.url().replace("http:", "https:"), &["https:", "could not be fetched"]);
    User::new().fails("no address", &["no address", "could not be fetched"]);
}

#[test]
fn a_model_that_changed_is_refused() {
    let (user, server) = (User::new(), Server::honest(network()));
    stdout(&user.fetch(&server.url()));
    let changed = Server::honest(fixture("keyer.onnx"));
    let output = user.command(&changed.url()).arg("--force").output().unwrap();
    let message = failure(&output);
    assert!(message.contains("SHA-256") && message.contains(".sha256"), "{message}");
    assert_eq!(std::fs::read(user.model()).unwrap(), network(), "the old one stays");
    assert_eq!(files_in(&user.models()).len(), 2);

    // One that was changed on the disk is found as well.
    std::fs::write(user.model(), fixture("keyer.onnx")).unwrap();
    let message = failure(&user.fetch(&server.url()));
    assert!(message.contains("SHA-256"), "{message}");
}

#[test]
fn another_size_than_is_known_is_refused() {
    let user = User::new();
    let fails = |server: &Server, found: &str| {
        let message = failure(&user.command_by_size(&server.url()).output().unwrap());
        for word in [found, "david-base has 428.42 MB", "--any-size"] {
            assert!(message.contains(word), "`{word}` in {message}");
        }
        assert_eq!(files_in(&user.models()), [""; 0], "{message}");
    };
    fails(
        &Server::honest(network()),
        &format!("gives {}", indicatif::DecimalBytes(network().len() as u64)),
    );
    // The length is not told, and found out.
    let bytes = network();
    let silent = Server::new(move |_, _, stream| send(stream, "200 OK", &bytes));
    fails(&silent, "gives ");
    let huge = Server::new(|_, _, stream| {
        send(stream, "200 OK\r\nContent-Length: 1000000000", b"begin");
    });
    fails(&huge, "gives 1.00 GB");
    // What has no end is not waited for.
    let endless = Server::new(|_, _, stream| {
        send(stream, "200 OK", b"");
        while stream.write_all(&[0x55; 1 << 20]).is_ok() {}
    });
    fails(&endless, "gives more than 471.69 MB");
}

#[test]
#[cfg(unix)]
fn nothing_is_written_through_a_link() {
    let server = Server::honest(network());
    for ending in ["part", "part.from", "sha256"] {
        let user = User::new();
        std::fs::create_dir_all(user.models()).unwrap();
        let precious = user.0.path().join("precious.txt");
        std::fs::write(&precious, "mine").unwrap();
        let link = user.models().join(format!("{FILE}.{ending}"));
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        // What is recorded there would be compared first.
        if ending == "sha256" {
            std::fs::write(&precious, "").unwrap();
        }
        let before = std::fs::read(&precious).unwrap();
        let message = failure(&user.fetch(&server.url()));
        assert!(message.contains("is a link"), "{message}");
        assert_eq!(std::fs::read(&precious).unwrap(), before);
    }
}

#[test]
fn more_than_the_disk_holds_is_not_begun() {
    let huge = Server::new(|_, _, stream| {
        send(stream, "200 OK\r\nContent-Length: 9000000000000000", b"begin");
    });
    User::new().fails(&huge.url(), &["free", "9.00 PB"]);
}

#[test]
#[cfg(unix)]
fn folders_that_cannot_be_written_are_told() {
    let server = Server::honest(network());
    let user = User::new();
    std::fs::write(user.0.path().join("davidmatte"), "a file in the way").unwrap();
    let message = failure(&user.fetch(&server.url()));
    assert!(message.contains("davidmatte/models") && message.contains("--folder"), "{message}");
    let mut homeless = example("fetch_model");
    homeless.env_remove("HOME").env_remove("XDG_DATA_HOME");
    let output = homeless.args(["david-base", "--url", &server.url()]).output();
    assert!(failure(&output.unwrap()).contains("--folder"));
    assert!(server.requests().is_empty());
}

#[test]
fn proxies_are_honoured() {
    // A proxy that carries the connection to the one server there is.
    let server = Server::honest(network());
    let behind = server.address.clone();
    let proxy = Server::new(move |_, request, stream| {
        assert!(request.line.starts_with("CONNECT model.test:80 "), "{request:?}");
        let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n");
        let mut inner = TcpStream::connect(&behind).unwrap();
        let (mut from, mut to) = (stream.try_clone().unwrap(), inner.try_clone().unwrap());
        std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
        let _ = std::io::copy(&mut inner, stream);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let user = User::new();
    let address = format!("http://{}", proxy.address);
    let output = user.command("http://model.test/model.onnx").env("ALL_PROXY", address).output();
    stdout(&output.unwrap());
    assert_eq!(proxy.requests().len(), 1);
    assert_eq!(std::fs::read(user.model()).unwrap(), network());
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let output = example("fetch_model").arg("davide").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("david-base") && message.contains("david-multitask"), "{message}");
}
