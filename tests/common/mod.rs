//! What the integration tests share: the element in a harness, frames, and pipelines that end.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, missing_docs)]

pub mod deep;

use std::path::{Path, PathBuf};
use std::sync::{Once, mpsc};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoInfo;
use gst_video::prelude::*;

/// Longer than any pipeline here takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Longer than any schedule takes on a busy machine: what takes longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs what must come to an end in a thread of its own.
pub fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    match wait.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it never ends"),
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Loads GStreamer with the element, and makes every warning of GLib's an abort.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            let name = if cfg!(target_os = "macos") {
                "libonnxruntime.dylib"
            } else {
                "libonnxruntime.so"
            };
            let library = root().join("build/onnxruntime").join(name);
            assert!(library.exists(), "{} is missing: run `make setup`", library.display());
            // SAFETY: every test begins here, and waits until this is done before it does more.
            unsafe { std::env::set_var("ORT_DYLIB_PATH", library) };
        }
        gst::init().expect("GStreamer is there");
        // G_DEBUG=fatal-warnings is read before any code of ours runs.
        glib::log_set_always_fatal(
            glib::LogLevels::LEVEL_CRITICAL | glib::LogLevels::LEVEL_WARNING,
        );
        gstdavidmatte::plugin_register_static().expect("the plugin registers");
    });
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a tiny network.
pub fn fixture(name: &str) -> String {
    let path = root().join("tests/fixtures").join(name);
    assert!(path.exists(), "{} is missing: run tests/fixtures/make_models.py", path.display());
    path.to_str().unwrap().into()
}

/// A folder with a copy of a network, under the same name, and a sidecar.
pub fn described(name: &str, sidecar: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(name);
    std::fs::copy(fixture(name), &copy).unwrap();
    std::fs::write(copy.with_extension("toml"), sidecar).unwrap();
    let copy = copy.to_str().unwrap().to_owned();
    (folder, copy)
}

/// The library that GStreamer would load, as it was built for this test: `cargo test` leaves it
/// beside the test's own executable, and only `cargo build` copies it a folder up.
pub fn built_plugin() -> Option<PathBuf> {
    let deps = std::env::current_exe().ok()?.parent()?.to_owned();
    let name =
        if cfg!(target_os = "macos") { "libgstdavidmatte.dylib" } else { "libgstdavidmatte.so" };
    [deps.join(name), deps.parent()?.join(name)].into_iter().find(|path| path.exists())
}

pub fn caps(text: &str) -> gst::Caps {
    init();
    text.parse().unwrap_or_else(|_| panic!("`{text}` are no caps"))
}

/// Caps of one format and size, at 25 frames a second. YUV is BT.601 whatever its size.
pub fn video(format: &str, width: usize, height: usize) -> gst::Caps {
    video_in(format, width, height, "bt601")
}

/// As [`video`], with the colorimetry for YUV.
pub fn video_in(format: &str, width: usize, height: usize, colorimetry: &str) -> gst::Caps {
    let mut caps =
        caps(&format!("video/x-raw,format={format},width={width},height={height},framerate=25/1"));
    if info(&caps).format_info().is_yuv() {
        caps.make_mut().set("colorimetry", colorimetry);
    }
    caps
}

pub fn info(caps: &gst::Caps) -> VideoInfo {
    VideoInfo::from_caps(caps).unwrap_or_else(|_| panic!("{caps} are no video caps"))
}

/// Mean absolute error of a tightly packed matte `width` pixels wide, in thousandths, where `truth(x, y)` is right.
pub fn mean_error(matte: &[u8], width: usize, truth: impl Fn(usize, usize) -> u8) -> f32 {
    let errors = matte.iter().enumerate().map(|(i, got)| got.abs_diff(truth(i % width, i / width)));
    errors.map(u64::from).sum::<u64>() as f32 / matte.len() as f32 / 0.255
}

/// A tightly packed frame with `value(component, x, y)` as samples, in the component's own
/// resolution; what has more than 8 bits means the same.
pub fn picture(caps: &gst::Caps, value: impl Fn(usize, usize, usize) -> u8) -> gst::Buffer {
    let info = info(caps);
    gst::Buffer::from_mut_slice(paint(&info, value))
}

/// A frame within a larger one of the same format: with longer strides and other offsets, and
/// what surrounds it is rubbish. With a corner other than the origin it is cut out by a crop.
pub fn embedded(
    caps: &gst::Caps,
    corner: (usize, usize),
    value: impl Fn(usize, usize, usize) -> u8,
) -> gst::Buffer {
    const BEFORE: usize = 32;
    let inner = info(caps);
    let (width, height) = (inner.width() as usize, inner.height() as usize);
    let (wide, high) = (width + corner.0 + 22, height + corner.1 + 6);
    let outer = VideoInfo::builder(inner.format(), wide as u32, high as u32).build().unwrap();
    let subsampling = |c: usize| {
        let format = inner.format_info();
        (format.w_sub()[c], format.h_sub()[c])
    };
    let painted = paint(&outer, |c, x, y| {
        let (w_sub, h_sub) = subsampling(c);
        let (x, y) = (x.wrapping_sub(corner.0 >> w_sub), y.wrapping_sub(corner.1 >> h_sub));
        let (columns, rows) = (inner.comp_width(c as u8), inner.comp_height(c as u8));
        if x < columns as usize && y < rows as usize { value(c, x, y) } else { 0xa5 }
    });
    let mut data = vec![0x5a; BEFORE];
    data.extend(painted);
    let mut buffer = gst::Buffer::from_mut_slice(data);
    let offsets: Vec<_> = outer.offset().iter().map(|offset| offset + BEFORE).collect();
    let crops = corner != (0, 0);
    let (w, h) = if crops { (wide, high) } else { (width, height) };
    let writable = buffer.make_mut();
    gst_video::VideoMeta::add_full(
        writable,
        gst_video::VideoFrameFlags::empty(),
        inner.format(),
        w as u32,
        h as u32,
        &offsets,
        outer.stride(),
    )
    .unwrap();
    if crops {
        let rect = (corner.0 as u32, corner.1 as u32, width as u32, height as u32);
        gst_video::VideoCropMeta::add(writable, rect);
    }
    buffer
}

fn paint(info: &VideoInfo, value: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
    if info.comp_depth(0) > 8 {
        // White of full range has all bits, and no colour of YUV only the uppermost.
        let is_yuv = info.format_info().is_yuv();
        return deep::paint(info, |c, x, y| match u16::from(value(c, x, y)) {
            code if is_yuv && c < 3 => code << 8,
            code => code * 257,
        });
    }
    let mut data = vec![0; info.size()];
    for c in 0..info.n_components() as u8 {
        let (offset, stride) = (info.comp_offset(c), info.comp_stride(c) as usize);
        let step = info.comp_pstride(c) as usize;
        for y in 0..info.comp_height(c) as usize {
            for x in 0..info.comp_width(c) as usize {
                data[offset + y * stride + x * step] = value(c as usize, x, y);
            }
        }
    }
    data
}

/// The samples of a frame, component by component, without whatever lies between its rows.
/// Those of more than 8 bits take two bytes, of which they are the upper bits.
pub fn samples(buffer: &gst::BufferRef, caps: &gst::Caps) -> Vec<Vec<u8>> {
    let info = info(caps);
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)
        .unwrap_or_else(|_| panic!("a buffer of {} bytes does not hold {caps}", buffer.size()));
    if info.comp_depth(0) > 8 {
        return deep::samples(&frame);
    }
    (0..info.n_components() as u8)
        .map(|c| {
            let component = u32::from(c);
            let stride = frame.comp_stride(component) as usize;
            let step = frame.comp_pstride(component) as usize;
            let data = frame.plane_data(frame.comp_plane(component)).unwrap();
            let data = &data[frame.comp_poffset(component) as usize..];
            let (columns, rows) = (info.comp_width(c) as usize, info.comp_height(c) as usize);
            (0..rows)
                .flat_map(|y| (0..columns).map(move |x| y * stride + x * step))
                .map(|at| data[at])
                .collect()
        })
        .collect()
}

/// Numbers that look random and are the same every time.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Marsaglia's xorshift64*.
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

/// The element alone, fed and read by hand.
pub struct Filter {
    pub harness: Harness,
    pub element: gst::Element,
    pub bus: gst::Bus,
}

impl Filter {
    /// With properties as on gst-launch's command line. On the CPU, every frame leaves with its own
    /// matte before the next one comes, and that is the network's of the whole frame alone, unless
    /// they say otherwise.
    pub fn new(properties: &[(&str, &str)]) -> Self {
        init();
        let element = gst::ElementFactory::make("davidmatte").build().unwrap();
        for (name, value) in [
            ("device", "cpu"),
            ("pacing", "exact"),
            ("frames-in-flight", "1"),
            ("region", "frame"),
            ("temporal", "0"),
        ] {
            element.set_property_from_str(name, value);
        }
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let harness = Harness::with_element(&element, Some("sink"), Some("src"));
        Self { harness, element, bus }
    }

    /// With 0.114 B + 0.587 G + 0.299 R as matte.
    pub fn luma(properties: &[(&str, &str)]) -> Self {
        let model = fixture("luma.onnx");
        Self::new(&[&[("model", model.as_str())], properties].concat())
    }

    pub fn set(&self, property: &str, value: &str) {
        self.element.set_property_from_str(property, value);
    }

    /// What comes, and what whoever is downstream takes.
    pub fn negotiate(&mut self, sink: &gst::Caps, src: &str) {
        self.harness.set_sink_caps(caps(src));
        self.harness.set_src_caps(sink.clone());
    }

    /// Downstream now says that it understands `GstVideoMeta`.
    pub fn take_video_meta(&self) {
        let pad = self.element.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
            match info.query_mut().map(|query| query.view_mut()) {
                Some(gst::QueryViewMut::Allocation(query)) => {
                    query.add_allocation_meta::<gst_video::VideoMeta>(None);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }

    /// One frame in, one frame out.
    pub fn push(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        let flow = self.harness.push(buffer);
        assert_eq!(flow, Ok(gst::FlowSuccess::Ok), "{:?}", self.messages());
        self.harness.try_pull().expect("a frame leaves for each that came")
    }

    /// One frame in, the samples of one frame out.
    pub fn matte(&mut self, buffer: gst::Buffer) -> Vec<Vec<u8>> {
        let out = self.push(buffer);
        samples(&out, &self.src_caps())
    }

    pub fn src_caps(&self) -> gst::Caps {
        self.element.static_pad("src").unwrap().current_caps().expect("caps are negotiated")
    }

    pub fn format(&self) -> String {
        info(&self.src_caps()).format().to_str().to_string()
    }

    /// Errors and warnings since the last call.
    pub fn messages(&self) -> Vec<(gst::MessageType, glib::Error)> {
        let wanted = [gst::MessageType::Error, gst::MessageType::Warning];
        std::iter::from_fn(|| self.bus.pop_filtered(&wanted))
            .map(|message| match message.view() {
                gst::MessageView::Error(error) => (message.type_(), error.error()),
                gst::MessageView::Warning(warning) => (message.type_(), warning.error()),
                _ => unreachable!(),
            })
            .collect()
    }

    pub fn stats(&self) -> gst::Structure {
        self.element.property("stats")
    }

    /// A count of the stats.
    pub fn stat(&self, name: &str) -> u64 {
        self.stats().get(name).unwrap()
    }
}

/// The element with all its defaults but the network, the processor as device, and the pacing that it has
/// in files: a harness says of itself that it is live.
pub fn defaults(properties: &[(&str, &str)]) -> Filter {
    init();
    let element = gst::ElementFactory::make("davidmatte").build().unwrap();
    element.set_property_from_str("model", &fixture("luma.onnx"));
    element.set_property_from_str("device", "cpu");
    element.set_property_from_str("pacing", "exact");
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let harness = Harness::with_element(&element, Some("sink"), Some("src"));
    Filter { harness, element, bus }
}

/// The matte of one frame by a network, as GRAY8.
pub fn alpha_of(model: &str, sink: &gst::Caps, frame: gst::Buffer) -> Vec<u8> {
    let mut filter = Filter::new(&[("model", model), ("output", "alpha")]);
    filter.negotiate(sink, "video/x-raw,format=GRAY8");
    filter.matte(frame).remove(0)
}

/// A pipeline in gst-launch's words.
pub fn pipeline(text: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(text).unwrap_or_else(|error| panic!("{text}: {error}")).downcast().unwrap()
}

/// Runs a pipeline until it ends or fails, and stops it.
pub fn run(pipeline: &gst::Pipeline) -> Result<(), glib::Error> {
    let bus = pipeline.bus().unwrap();
    bus.set_flushing(true);
    bus.set_flushing(false);
    let playing = pipeline.set_state(gst::State::Playing);
    let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
    let timeout = gst::ClockTime::from_seconds(TIMEOUT.as_secs());
    let message = bus.timed_pop_filtered(timeout, &wanted).expect("the pipeline ends or fails");
    pipeline.set_state(gst::State::Null).expect("a pipeline can always be stopped");
    match message.view() {
        gst::MessageView::Error(error) => Err(error.error()),
        _ => {
            playing.expect("what ends well began well");
            Ok(())
        }
    }
}

/// Bytes of memory that the process holds, where the system tells.
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}
