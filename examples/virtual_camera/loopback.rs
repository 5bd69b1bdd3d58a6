//! Which video devices are v4l2loopback's.

use std::path::{Path, PathBuf};

/// Where Linux lists video devices.
pub const VIDEO_DEVICES: &str = "/sys/class/video4linux";

/// A device that other programs see as a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loopback {
    /// Such as `/dev/video2`.
    pub path: PathBuf,
    /// What programs call it.
    pub label: String,
}

/// v4l2loopback's devices among those in `listed`, by their number.
///
/// A device is v4l2loopback's where it is virtual and has the module's own attribute `max_openers`,
/// which every version of the module has.
pub fn devices(listed: &Path) -> Vec<Loopback> {
    let entries = std::fs::read_dir(listed).into_iter().flatten().flatten();
    let mut found: Vec<(u32, Loopback)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix("video")?.parse().ok()?;
            let folder = entry.path();
            folder.join("max_openers").exists().then_some(())?;
            let label = std::fs::read_to_string(folder.join("name")).unwrap_or_default();
            let path = Path::new("/dev").join(&name);
            Some((number, Loopback { path, label: label.trim().to_owned() }))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, device)| device).collect()
}
