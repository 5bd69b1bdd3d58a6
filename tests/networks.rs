//! Networks with other inputs than a picture: constants, states and the matte before, and types of 16 bits.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Filter, Noise, defaults, described, ends, picture, samples, video};
use gst::prelude::*;

const MS: fn(u64) -> gst::ClockTime = gst::ClockTime::from_mseconds;

/// Of `remembering.onnx`, whose inputs and outputs are those of Robust Video Matting.
const REMEMBERING: &str = include_str!("fixtures/remembering.toml");

/// Of different areas.
const SIZES: [(usize, usize); 3] = [(64, 48), (96, 40), (80, 80)];

/// What the network remembers, as it should.
#[derive(Clone, Copy, Default)]
struct Remembered {
    last: u8,
    before: u8,
    count: u64,
}

/// One frame of flat gray, and the quarters of its matte.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Told {
    index: u64,
    quarters: [u8; 4],
}

/// A stream through an element, and what its mattes have to be.
struct Stream {
    filter: Filter,
    noise: Noise,
    size: usize,
    index: u64,
    scene: u8,
    /// The scene of the frame before.
    shown: Option<u8>,
    remembered: Remembered,
    expected: Vec<Told>,
    seen: Vec<Told>,
}

/// Levels so far apart that one after the other is a cut.
const SCENES: [u8; 4] = [10, 90, 170, 240];

impl Stream {
    fn new(model: &str, seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        let in_flight = (1 + noise.below(4)).to_string();
        let mut filter = defaults(&[
            ("output", "alpha"),
            ("model", model),
            ("temporal", "0"),
            ("frames-in-flight", &in_flight),
        ]);
        filter.negotiate(&video("GRAY8", SIZES[0].0, SIZES[0].1), "video/x-raw,format=GRAY8");
        let remembered = Remembered::default();
        let (expected, seen) = (Vec::new(), Vec::new());
        let scene = SCENES[0];
        Self { filter, noise, size: 0, index: 0, scene, shown: None, remembered, expected, seen }
    }

    fn caps(&self) -> gst::Caps {
        let (width, height) = SIZES[self.size];
        video("GRAY8", width, height)
    }

    fn pull(&mut self) {
        while let Some(buffer) = self.filter.harness.try_pull() {
            // Of the caps that it was made for.
            let is_of = |(width, height): &&(usize, usize)| width * height == buffer.size();
            let &(width, height) = SIZES.iter().find(is_of).unwrap();
            let caps = video("GRAY8", width, height);
            let matte = &samples(&buffer, &caps)[0];
            let quarters = std::array::from_fn(|quarter| matte[(2 * quarter + 1) * width / 8]);
            let index = buffer.pts().unwrap().mseconds() / 40;
            self.seen.push(Told { index, quarters });
        }
    }

    fn feed(&mut self, discontinuous: bool) {
        let level = self.scene + self.noise.below(4) as u8;
        if self.shown.replace(self.scene).is_some_and(|shown| shown != self.scene) {
            self.remembered = Remembered::default();
        }
        let mut frame = picture(&self.caps(), |_, _, _| level);
        let buffer = frame.make_mut();
        buffer.set_pts(MS(40 * self.index));
        buffer.set_duration(MS(40));
        if discontinuous {
            buffer.set_flags(gst::BufferFlags::DISCONT);
            self.remembered = Remembered::default();
        }
        self.filter.harness.push(frame).unwrap();
        let Remembered { last, before, count } = self.remembered;
        let count_code = (2.55 * count as f64).round() as u8;
        self.expected.push(Told { index: self.index, quarters: [level, last, before, count_code] });
        self.remembered = Remembered { last: level, before: last, count: count + 1 };
        self.index += 1;
    }

    fn event(&mut self, event: gst::Event) {
        assert!(self.filter.harness.push_event(event));
        self.pull();
        self.remembered = Remembered::default();
    }

    fn step(&mut self) {
        match self.noise.below(20) {
            0 => {
                let others = SCENES.iter().filter(|&&scene| scene != self.scene);
                self.scene = *others.clone().nth(self.noise.below(3)).unwrap();
            }
            1 => {
                // What has not left by now never does.
                self.pull();
                self.filter.harness.push_event(gst::event::FlushStart::new());
                self.event(gst::event::FlushStop::new(true));
                let gone = self.seen.last().map_or(0, |told| told.index + 1);
                self.expected.retain(|told| told.index < gone);
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                self.filter.harness.push_event(gst::event::Segment::new(&segment));
            }
            2 => {
                self.size = (self.size + 1 + self.noise.below(2)) % 3;
                let caps = self.caps();
                self.filter.harness.push_event(gst::event::Caps::new(&caps));
                self.pull();
                self.remembered = Remembered::default();
            }
            3 => {
                let gap = gst::event::Gap::builder(MS(40 * self.index)).build();
                self.index += 2;
                self.event(gap);
            }
            4 => self.feed(true),
            _ => self.feed(false),
        }
        self.pull();
    }

    fn finish(mut self, what: &str) {
        self.filter.harness.push_event(gst::event::Eos::new());
        self.pull();
        assert!(self.filter.messages().is_empty(), "{what}");
        let close = |a: &Told, b: &Told| {
            a.index == b.index && a.quarters.iter().zip(b.quarters).all(|(a, b)| a.abs_diff(b) <= 1)
        };
        let all_close = self.seen.len() == self.expected.len()
            && self.seen.iter().zip(&self.expected).all(|(a, b)| close(a, b));
        assert!(all_close, "{what}\nfound    {:?}\nexpected {:?}", self.seen, self.expected);
    }
}

/// The states of every frame are those that the frame before left: none is lost, doubled, swapped, or kept
/// over a cut, a gap, a flush or other caps.
#[test]
fn states_are_exact_over_random_schedules() {
    for (name, seeds) in [("remembering.onnx", 0..200), ("remembering_half.onnx", 200..300)] {
        ends(move || {
            let (_folder, model) = described(name, REMEMBERING);
            for seed in seeds {
                let mut stream = Stream::new(&model, seed);
                for _ in 0..20 + seed % 20 {
                    stream.step();
                }
                stream.finish(&format!("{name}, seed {seed}"));
            }
        });
    }
}

#[test]
fn streams_of_one_network_have_states_of_their_own() {
    ends(|| {
        let (_folder, model) = described("remembering.onnx", REMEMBERING);
        let mut streams: Vec<_> = (0..3).map(|seed| Stream::new(&model, seed)).collect();
        for _ in 0..60 {
            streams.iter_mut().for_each(Stream::step);
        }
        streams.into_iter().for_each(|stream| stream.finish("side by side"));
    });
}

#[test]
fn another_network_begins_anew() {
    ends(|| {
        let (_folder, model) = described("remembering.onnx", REMEMBERING);
        let (_other_folder, other) = described("remembering.onnx", REMEMBERING);
        let mut stream = Stream::new(&model, 1);
        for _ in 0..5 {
            stream.feed(false);
        }
        stream.filter.set("model", &other);
        loop {
            stream.feed(false);
            stream.pull();
            // Other counts than that of the first network.
            if stream.filter.element.property::<String>("active-model") == other {
                break;
            }
        }
        stream.filter.harness.push_event(gst::event::Eos::new());
        stream.pull();
        let counts: Vec<_> = stream.seen.iter().map(|told| told.quarters[3]).collect();
        let starts = counts.iter().filter(|&&count| count == 0).count();
        assert_eq!(starts, 2, "{counts:?}");
    });
}

fn halfway(level: u8, count: usize) -> Vec<u8> {
    let (_folder, model) = described("halfway.onnx", "[[previous]]\nname = \"prior\"");
    let mut filter = defaults(&[("output", "alpha"), ("model", &model), ("temporal", "0")]);
    let caps = video("GRAY8", 64, 64);
    filter.negotiate(&caps, "video/x-raw,format=GRAY8");
    let frame = |level: u8, index: u64| {
        let mut frame = picture(&caps, |_, _, _| level);
        frame.make_mut().set_pts(MS(40 * index));
        frame
    };
    filter.harness.push(frame(255 - level, 0)).unwrap();
    for index in 0..count {
        filter.harness.push(frame(level, 1 + index as u64)).unwrap();
    }
    filter.harness.push_event(gst::event::Eos::new());
    let mattes = std::iter::from_fn(|| filter.harness.try_pull());
    mattes.map(|buffer| samples(&buffer, &caps)[0][64 * 32 + 32]).collect()
}

/// A matte before is given from the second frame of a scene on.
#[test]
fn the_matte_before_is_given() {
    let mattes = ends(|| halfway(200, 4));
    let expected = [27.5, 100.0, 150.0, 175.0, 187.5];
    assert_eq!(mattes.len(), expected.len());
    for (matte, expected) in mattes.iter().zip(expected) {
        assert!((f64::from(*matte) - expected).abs() <= 1.0, "{mattes:?}");
    }
}

#[test]
fn sixteen_bits_are_as_good_as_thirty_two() {
    let caps = video("GRAY8", 64, 64);
    let frame = picture(&caps, |_, x, y| (2 * x + y) as u8);
    let (_folder, model) = described("half.onnx", "");
    let half = common::alpha_of(&model, &caps, frame);
    for (index, matte) in half.iter().enumerate() {
        let expected = 2 * (index % 64) + index / 64;
        assert!(usize::from(*matte).abs_diff(expected) <= 1, "{matte} for {expected}");
    }
}

const STATE: &str = "[[state]]\ninput = \"state\"\noutput = \"next\"\nshape = [1]";

#[test]
fn a_state_that_is_no_number_is_told_once_and_begins_anew() {
    ends(|| {
        let (_folder, model) = described("forgetful.onnx", STATE);
        let mut filter = Filter::new(&[("output", "alpha"), ("model", &model)]);
        let caps = video("GRAY8", 64, 64);
        filter.negotiate(&caps, "video/x-raw,format=GRAY8");
        let mut codes = Vec::new();
        // Not so far apart that it were a cut.
        for level in [120, 120, 132, 120, 120, 132, 120] {
            codes.push(filter.matte(picture(&caps, |_, _, _| level))[0][0]);
        }
        assert_eq!(codes, [120, 152, 164, 120, 152, 164, 120]);
        let messages = filter.messages();
        let [(gst::MessageType::Warning, warning)] = &messages[..] else { panic!("{messages:?}") };
        assert!(warning.to_string().contains("`next`"), "{warning}");
    });
}

#[test]
fn a_state_that_grows_is_told_by_its_shapes() {
    ends(|| {
        let state = STATE.replace("[1]", "[1, 1]");
        let (_folder, model) = described("growing.onnx", &state);
        let mut filter = Filter::new(&[("output", "alpha"), ("model", &model)]);
        let caps = video("GRAY8", 64, 64);
        filter.negotiate(&caps, "video/x-raw,format=GRAY8");
        let codes: Vec<_> =
            (0..4).map(|_| filter.matte(picture(&caps, |_, _, _| 90))[0][0]).collect();
        assert_eq!(codes, [90, 0, 90, 0], "what has no matte is covered");
        let messages = filter.messages();
        assert!(messages.iter().all(|(kind, _)| *kind == gst::MessageType::Warning));
        let first = messages[0].1.to_string();
        assert!(first.contains("`next`") && first.contains("(1, 2) to (1, 4)"), "{first}");
    });
}

/// Closer looks would be at something else than its colours belong to, also where a network remembers nothing.
#[test]
fn a_network_with_colours_of_its_own_is_not_refined_in_vain() {
    ends(|| {
        let sidecar = "[output]\nname = \"foreground\"\n[foreground]\nname = \"normal\"";
        let (_folder, model) = described("multitask.onnx", sidecar);
        let properties = [("output", "alpha"), ("model", &*model), ("refine", "zoom")];
        let mut filter = Filter::new(&properties);
        let caps = video("GRAY8", 64, 64);
        filter.negotiate(&caps, "video/x-raw,format=GRAY8");
        filter.matte(picture(&caps, |_, _, _| 90));
        let messages = filter.messages();
        let [(gst::MessageType::Warning, warning)] = &messages[..] else { panic!("{messages:?}") };
        assert!(warning.to_string().contains("refine=none"), "{warning}");
    });
}

/// A network whose colours of the person are the picture's complement: where its matte is soft, composites and
/// cut-outs show those, with all the frame's detail, and elsewhere the frame and what is behind it.
#[test]
fn a_network_s_own_colours_are_taken() {
    ends(|| {
        let (_folder, model) =
            described("remembering.onnx", &format!("{REMEMBERING}\n[foreground]\nname = \"fgr\""));
        let caps = video("RGB", 64, 48);
        let value = |c: usize, x: usize, y: usize| (40 * c + (x * 53 + y * 31) % 120 + 20) as u8;
        let background = [0.0, 255.0, 0.0];
        for (output, decontaminate) in
            [("composite", "true"), ("composite", "false"), ("cutout", "true"), ("alpha", "true")]
        {
            let mut filter = defaults(&[
                ("model", &model),
                ("output", output),
                ("background", "color"),
                ("background-color", "0xff00ff00"),
                ("decontaminate", decontaminate),
            ]);
            let format = match output {
                "composite" => "RGB",
                "cutout" => "RGBA",
                _ => "GRAY8",
            };
            filter.negotiate(&caps, &format!("video/x-raw,format={format}"));
            filter.harness.push(picture(&caps, value)).unwrap();
            filter.harness.push_event(gst::event::Eos::new());
            let out = samples(&filter.harness.pull().unwrap(), &video(format, 64, 48));
            // Soft in the first quarter, and nothing in the others.
            for (x, y) in (0..64 * 48).map(|i| (i % 64, i / 64)).filter(|(x, _)| x % 16 < 14) {
                let pixel: [f64; 3] = std::array::from_fn(|c| f64::from(value(c, x, y)));
                let luma = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
                let alpha = if x < 16 { luma / 255.0 } else { 0.0 };
                for c in 0..3 {
                    let own = if decontaminate == "true" { 255.0 - pixel[c] } else { pixel[c] };
                    let expected = match output {
                        "composite" => alpha * own + (1.0 - alpha) * background[c],
                        "cutout" if x < 16 => own,
                        "cutout" => 0.0,
                        _ => 255.0 * alpha,
                    };
                    let got = f64::from(out[if output == "alpha" { 0 } else { c }][64 * y + x]);
                    assert!(
                        (got - expected).abs() <= 1.6,
                        "{output} {x},{y}: {got} for {expected} of {pixel:?}"
                    );
                }
            }
        }
    });
}

fn refusal(name: &str, sidecar: &str) -> String {
    let (_folder, model) = described(name, sidecar);
    let element = gst::ElementFactory::make("davidmatte").build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    element.set_property("model", &model);
    element.set_property_from_str("device", "cpu");
    assert!(element.set_state(gst::State::Paused).is_err(), "{sidecar}");
    element.set_state(gst::State::Null).unwrap();
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    error.error().to_string()
}

#[test]
fn what_does_not_fit_the_network_is_named() {
    common::init();
    let state = |input: &str, output: &str, shape: &str| {
        format!("[[state]]\ninput = \"{input}\"\noutput = \"{output}\"\nshape = {shape}\n")
    };
    let without = |line: &str| REMEMBERING.replace(line, "");
    let r4 = state("r4i", "r4o", "[1, 1, 1, 1]");
    for (name, sidecar, words) in [
        ("remembering.onnx", String::new(), ["6 inputs", "r1i"]),
        ("remembering.onnx", REMEMBERING.replace("r1o", "r9o"), ["`r9o`", "r2o"]),
        ("remembering.onnx", REMEMBERING.replace("r1i", "r9i"), ["`r9i`", "r2i"]),
        ("remembering.onnx", REMEMBERING.replace("\"r4o\"", "\"pha2\""), ["`pha2`", "pha"]),
        ("remembering.onnx", REMEMBERING.replace("r1i", "r2i"), ["`r2i`", "both"]),
        ("remembering.onnx", without("shape = [1, 1, 1, 1]"), ["`r1i`", "open sides"]),
        (
            "remembering.onnx",
            REMEMBERING.replace("\"longest-512\"", "[1, 2]"),
            ["`downsample_ratio`", "2 numbers"],
        ),
        (
            "remembering.onnx",
            format!("{REMEMBERING}\n[foreground]\nname = \"r1o\""),
            ["`r1o`", "both"],
        ),
        ("remembering.onnx", REMEMBERING.replace("\"src\"", "\"source\""), ["`source`", "src"]),
        ("halfway.onnx", String::new(), ["2 inputs", "prior"]),
        (
            "halfway.onnx",
            "[[constant]]\nname = \"prior\"\nvalue = 1e39".into(),
            ["`prior`", "take 1"],
        ),
        ("growing.onnx", state("state", "next", "[2, 2]"), ["`state`", "(2, 2)"]),
        ("growing.onnx", state("state", "output", "[1, 1]"), ["`state`", "`output`"]),
        ("half.onnx", "[output]\nchannel = 3".into(), ["1 channels", "channel 3"]),
        ("luma.onnx", r4, ["`r4i`", "input"]),
    ] {
        let message = refusal(name, &sidecar);
        assert!(words.iter().all(|word| message.contains(word)), "{sidecar}: {message}");
    }
}
