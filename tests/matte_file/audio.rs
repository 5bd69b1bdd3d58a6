//! Audio is kept, packet by packet, or its loss is told.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::common::{self, pipeline};
use crate::examples::{failure_of, stdout};
use crate::files::*;

/// Coded audio: its name, what codes it, and the caps that it has in files.
struct Codec(&'static str, &'static str, &'static str);

const MP3: Codec = Codec("mp3", "lamemp3enc ! mpegaudioparse", "audio/mpeg");
const MP2: Codec = Codec("mp2", "avenc_mp2 ! mpegaudioparse", "audio/mpeg");
const AAC: Codec = Codec("aac", "avenc_aac ! aacparse", "audio/mpeg");
const AC3: Codec = Codec("ac3", "avenc_ac3 ! ac3parse", "audio/x-ac3");
const EAC3: Codec = Codec("eac3", "avenc_eac3 ! ac3parse", "audio/x-eac3");
const FLAC: Codec = Codec("flac", "flacenc ! flacparse", "audio/x-flac");
const OPUS: Codec = Codec("opus", "opusenc", "audio/x-opus");
const PCM: Codec = Codec("pcm", "identity", "audio/x-raw");

/// Containers, what makes them (not MPEG-PS, of which parsebin alone leaves out a part), and the
/// codecs that it puts in.
const CONTAINERS: [(&str, &str, &[Codec]); 4] = [
    ("mp4", "mp4mux", &[MP3, MP2, AAC, AC3, OPUS]),
    ("mkv", "matroskamux", &[MP3, MP2, AAC, AC3, EAC3, FLAC, OPUS, PCM]),
    ("avi", "avimux", &[MP3, MP2, AAC, AC3, PCM]),
    ("ts", "mpegtsmux", &[MP3, MP2, AAC, AC3, OPUS]),
];

/// A stream of audio as a file holds it: its name, and the bytes of all its packets.
type Sound = (String, Vec<u8>);

/// All streams of audio in a file, in order.
fn sounds(path: &Path) -> Vec<Sound> {
    let reader = pipeline("filesrc name=file ! parsebin name=parse");
    reader.by_name("file").unwrap().set_property("location", path);
    let found = Arc::new(Mutex::new(Vec::<Sound>::new()));
    let (seen, weak) = (found.clone(), reader.downgrade());
    reader.by_name("parse").unwrap().connect_pad_added(move |_, pad| {
        let reader = weak.upgrade().unwrap();
        let name = pad.query_caps(None).structure(0).unwrap().name().to_string();
        let mut last = pad.clone();
        if name == "audio/mpeg" {
            // AAC has two framings, and other MPEG audio has none of them.
            let raw = "aacparse ! capsfilter caps=audio/mpeg,stream-format=raw";
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let version = caps.structure(0).unwrap().get::<i32>("mpegversion");
            let framing = if version == Ok(1) { "identity" } else { raw };
            let bin = gst::parse::bin_from_description(framing, true).unwrap();
            reader.add(&bin).unwrap();
            bin.sync_state_with_parent().unwrap();
            pad.link(&bin.static_pad("sink").unwrap()).unwrap();
            last = bin.static_pad("src").unwrap();
        }
        if name.starts_with("audio/") {
            let mut found = seen.lock().unwrap();
            let number = found.len();
            found.push((name, Vec::new()));
            let seen = seen.clone();
            last.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                let packet = info.buffer().unwrap().map_readable().unwrap();
                seen.lock().unwrap()[number].1.extend_from_slice(&packet);
                gst::PadProbeReturn::Ok
            });
        }
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
        reader.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        last.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
    common::run(&reader).unwrap();
    std::mem::take(&mut *found.lock().unwrap())
}

/// A clip with audio of a codec in a container.
fn clip(folder: &Folder, container: &str, muxer: &str, codec: &Codec) -> PathBuf {
    let Codec(name, encoder, _) = codec;
    folder.make(
        &format!("{name}.{container}"),
        &format!(
            "{SOUND} ! {encoder} ! {muxer} name=mux {VIDEO} ! x264enc ! h264parse ! mux. mux."
        ),
    )
}

/// An output has the audio of the input to the bit.
fn assert_kept(input: &Path, out: &Path) {
    let (before, after) = (sounds(input), sounds(out));
    assert!(before.iter().all(|(_, bytes)| !bytes.is_empty()), "{} is silent", input.display());
    let names = |sounds: &[Sound]| -> Vec<(String, usize)> {
        sounds.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()
    };
    assert_eq!(names(&before), names(&after), "{}", input.display());
    assert!(before == after, "{}: other bytes", input.display());
}

#[test]
fn all_that_matroska_holds_is_kept() {
    let folder = Folder::new();
    let out = folder.path("out.mkv");
    for (container, muxer, codecs) in CONTAINERS {
        for codec in codecs {
            let input = clip(&folder, container, muxer, codec);
            let [(name, _)] = &*sounds(&input) else { panic!("{} has no audio", input.display()) };
            // Until its first packet a parser may be of several kinds.
            assert!(name.starts_with("audio/"), "{name} and not {}", codec.2);
            done(matte(&input, &out).arg("--force"));
            assert_kept(&input, &out);
        }
    }
}

#[test]
fn all_of_a_program_stream_is_kept() {
    let folder = Folder::new();
    let out = folder.path("out.mkv");
    for codec in [MP3, MP2] {
        let Codec(name, encoder, _) = codec;
        let alone = folder.make(&format!("{name}.alone"), &format!("{SOUND} ! {encoder}"));
        let input = clip(&folder, "mpg", "mpegpsmux", &codec);
        let output = matte(&input, &out).arg("--force").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        assert!(stdout(&output).contains("24 frames"), "{name}");
        let [(_, bytes)] = &*sounds(&out) else { panic!("{name}: not one stream of audio") };
        assert!(*bytes == std::fs::read(alone).unwrap(), "{name}: {} bytes", bytes.len());
    }
}

/// A clip of which qtdemux takes the video for a preview.
#[test]
fn a_video_that_gstreamer_leaves_out_is_told() {
    let folder = Folder::new();
    let sound = SOUND.replace("num-buffers=47", "num-buffers=300");
    let input = folder.make(
        "in.mp4",
        &format!("{sound} ! avenc_aac ! mp4mux name=mux {VIDEO} ! x264enc ! mux. mux."),
    );
    let output = matte(&input, &folder.path("out.mkv")).output().unwrap();
    let message = failure_of(INPUT, &output);
    assert!(message.contains("less than a fifth") && message.contains(".mkv"), "{message}");
    assert_eq!(folder.files(), ["in.mp4"]);
}

/// What a player hears and when: samples of 16 bits, and when each piece of them begins.
fn heard(path: &Path) -> (Vec<u8>, Vec<Option<gst::ClockTime>>) {
    let description = "filesrc name=file ! decodebin ! audioconvert ! audio/x-raw,format=S16LE ! \
        appsink name=out";
    let pieces = samples(description, path);
    let bytes = |piece: &gst::Sample| piece.buffer().unwrap().map_readable().unwrap().to_vec();
    let time = |piece: &gst::Sample| {
        let segment = piece.segment()?.downcast_ref::<gst::ClockTime>()?;
        segment.to_running_time(piece.buffer()?.pts())
    };
    (pieces.iter().flat_map(bytes).collect(), pieces.iter().map(time).collect())
}

/// The clip's sound begins before time 0, as encoders of AAC have it, and its edit list says so. It was made by
/// `ffmpeg -f lavfi -i testsrc=s=32x32:r=24:d=0.5 -f lavfi -i sine=440:r=48000:d=0.5 -c:v libx264 -c:a aac`.
#[test]
fn what_decoders_need_before_time_0_is_kept_and_not_heard() {
    let folder = Folder::new();
    let input = PathBuf::from(common::fixture("primed.mp4"));
    for name in ["out.mp4", "out.mov"] {
        let out = folder.path(name);
        done(&mut matte(&input, &out));
        assert_eq!(audio(&input), audio(&out), "{name}");
        let (before, after) = (heard(&input), heard(&out));
        assert!(before.0 == after.0, "{name}: other sound");
        assert_eq!(before.1.first(), after.1.first(), "{name}: at another time");
        assert_times(&decode(&input, ""), &decode(&out, ""), NEARLY);
    }
}

/// Of Opus the first 312 samples are not heard; who reads that number backwards leaves out .3 seconds.
#[test]
fn all_of_opus_is_heard_from_mp4_and_quicktime() {
    let folder = Folder::new();
    let input = clip(&folder, "mkv", "matroskamux", &OPUS);
    for name in ["out.mp4", "out.mov"] {
        let out = folder.path(name);
        done(&mut matte(&input, &out));
        assert_kept(&input, &out);
        let bytes = std::fs::read(&out).unwrap();
        let at = bytes.windows(4).position(|found| found == b"dOps").unwrap() + 4;
        // Its version, two channels, samples that are not heard, and those of a second.
        assert_eq!(bytes[at..at + 8], [0, 2, 1, 0x38, 0, 0, 0xbb, 0x80], "{name}");
    }
}

/// Matroska says of no packet how long it lasts, and of the last one no other packet's time tells it. The clip is
/// the other one by `ffmpeg -i primed.mp4 -c copy primed.mkv`; GStreamer's own would say it.
#[test]
fn the_last_packet_lasts_as_long_as_the_others() {
    let folder = Folder::new();
    let input = PathBuf::from(common::fixture("primed.mkv"));
    for name in ["out.mp4", "out.mov"] {
        let out = folder.path(name);
        done(&mut matte(&input, &out));
        // In the table of how long packets of sound last: how many lines it has, and a count and ticks in each.
        let bytes = std::fs::read(&out).unwrap();
        let after = |at: usize, name: &[u8]| {
            at + 4 + bytes[at..].windows(4).position(|found| found == name).unwrap()
        };
        let table = &bytes[after(after(0, b"soun"), b"stts")..];
        let number = |at: usize| u32::from_be_bytes(table[at..at + 4].try_into().unwrap());
        let lasts = number(8 * number(4) as usize + 4);
        assert!((900..=1100).contains(&lasts), "{name}: {lasts} samples");
    }
}
