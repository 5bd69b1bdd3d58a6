//! Whether PipeWire is there.

/// Whether something listens where PipeWire does.
#[cfg(unix)]
pub fn answers() -> bool {
    use std::env::var_os;
    use std::path::PathBuf;

    let remote = var_os("PIPEWIRE_REMOTE").filter(|name| !name.is_empty());
    let remote = PathBuf::from(remote.unwrap_or_else(|| "pipewire-0".into()));
    let folders = ["PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR"].into_iter().filter_map(var_os);
    let folders = folders.map(PathBuf::from).chain(["/run/pipewire".into()]);
    // A path that is absolute stays as it is.
    folders
        .map(|folder| folder.join(&remote))
        .any(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok())
}

/// PipeWire is Linux's.
#[cfg(not(unix))]
pub fn answers() -> bool {
    false
}
