//! The example `evaluate`: its metrics against another implementation, its layouts, its report.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "common/examples.rs"]
mod examples;
#[allow(dead_code)]
#[path = "../examples/evaluate/metrics.rs"]
mod metrics;

use std::path::{Path, PathBuf};
use std::process::Command;

use examples::{ended, example, failure, files_in, full_disk, stdout};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use metrics::Matte;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

// -- Metrics ---------------------------------------------------------------------------------------

/// Numbers that look random and are the same every time (xorshift64*), in [0, 1).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn matte(width: usize, height: usize, mut value: impl FnMut(usize, usize) -> f32) -> Matte {
    let values = (0..width * height).map(|at| value(at % width, at / width)).collect();
    Matte { width, height, values }
}

/// 8-bit levels, as true mattes have them.
fn levels(width: usize, height: usize, noise: &mut Noise) -> Matte {
    matte(width, height, |_, _| (noise.next() * 256.0).floor() / 255.0)
}

/// Soft discs, so that there are several connected parts of several levels.
fn discs(width: usize, height: usize, shift: f32) -> Matte {
    let disc = |x: usize, y: usize, cx: f32, cy: f32, r: f32| {
        let (dx, dy) = (x as f32 - cx * width as f32 - shift, y as f32 - cy * height as f32);
        ((r * height as f32 - dx.hypot(dy)) / 4.0 + 0.5).clamp(0.0, 1.0)
    };
    matte(width, height, |x, y| {
        let discs = [(0.3, 0.4, 0.25), (0.75, 0.6, 0.2), (0.1, 0.9, 0.05)];
        let top = discs.map(|(cx, cy, r)| disc(x, y, cx, cy, r)).into_iter().fold(0.0, f32::max);
        (top * 255.0).round() / 255.0
    })
}

/// The errors by tests/reference/metrics.py.
fn reference(
    prediction: [&Matte; 2],
    truth: [&Matte; 2],
    trimap: &[u8],
) -> serde_json::Map<String, Value> {
    let python = root().join("build/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make setup`", python.display());
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let raw = |matte: &Matte| matte.values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let output = Command::new(python)
        .arg(root().join("tests/reference/metrics.py"))
        .args([truth[1].width.to_string(), truth[1].height.to_string()])
        .args([write("p", raw(prediction[1])), write("t", raw(truth[1]))])
        .arg("--trimap")
        .arg(write("trimap", trimap.to_vec()))
        .arg("--before")
        .args([write("p0", raw(prediction[0])), write("t0", raw(truth[0]))])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn compare(case: &str, prediction: [&Matte; 2], truth: [&Matte; 2]) {
    let trimap: Vec<u8> = truth[1]
        .values
        .iter()
        .enumerate()
        .map(|(at, &v)| match v {
            _ if at % 7 == 0 => 128,
            v if v <= 0.2 => 0,
            v if v >= 0.8 => 255,
            _ => 128,
        })
        .collect();
    let expected = reference(prediction, truth, &trimap);
    let [p, t] = [prediction[1], truth[1]];
    for (name, value) in [
        ("sad", metrics::sad(p, t)),
        ("sad_t", metrics::sad_trimap(p, t, &trimap)),
        ("mad", metrics::mad(p, t)),
        ("mse", metrics::mse(p, t)),
        ("grad", metrics::gradient_error(p, t)),
        ("conn", metrics::connectivity_error(p, t)),
        ("dtssd", metrics::dtssd(prediction, truth)),
    ] {
        let expected = expected[name].as_f64().unwrap();
        // Grad works on float32 and the reference on float64.
        let tolerance = if name == "grad" { 1e-5 } else { 1e-9 };
        assert!(
            (value - expected).abs() <= tolerance * expected.abs().max(1e-3),
            "{case}: {name} is {value}, and {expected} by the reference"
        );
    }
}

#[test]
fn metrics_are_those_of_the_reference() {
    let mut noise = Noise(7);
    for (width, height) in [(1, 1), (2, 3), (13, 1), (1, 9), (31, 17), (64, 64), (97, 55)] {
        let mut random = || levels(width, height, &mut noise);
        let (p0, p, t0, t) = (random(), random(), random(), random());
        compare(&format!("noise, {width}x{height}"), [&p0, &p], [&t0, &t]);
    }
    for (width, height) in [(80, 60), (101, 77)] {
        let t = [discs(width, height, 0.0), discs(width, height, 1.0)];
        let p = [discs(width, height, 3.0), discs(width, height, 5.5)];
        compare(&format!("discs, {width}x{height}"), [&p[0], &p[1]], [&t[0], &t[1]]);
        let fine = matte(width, height, |x, y| {
            (p[1].values[y * width + x] * 0.9 + 0.1 * noise.next()).min(1.0)
        });
        compare(&format!("uneven discs, {width}x{height}"), [&p[0], &fine], [&t[0], &t[1]]);
        let nothing = matte(width, height, |_, _| 0.0);
        compare(&format!("nothing, {width}x{height}"), [&p[0], &nothing], [&t[0], &t[1]]);
        let all = matte(width, height, |_, _| 1.0);
        compare(&format!("everything, {width}x{height}"), [&p[0], &all], [&t[0], &t[1]]);
        compare(&format!("equal, {width}x{height}"), [&t[0], &t[1]], [&t[0], &t[1]]);
    }
}

#[test]
fn metrics_of_a_picture_that_can_be_scored_by_hand() {
    // One row: right, half wrong, all wrong, right.
    let truth = Matte { width: 4, height: 1, values: vec![0.0, 1.0, 1.0, 1.0] };
    let prediction = Matte { width: 4, height: 1, values: vec![0.0, 0.5, 0.0, 1.0] };
    assert_eq!(metrics::sad(&prediction, &truth), 0.0015);
    assert_eq!(metrics::mad(&prediction, &truth), 0.375);
    assert_eq!(metrics::mse(&prediction, &truth), 0.3125);
    assert_eq!(metrics::sad_trimap(&prediction, &truth, &[0, 128, 255, 255]), 0.0005);
    // From truth to prediction and back again: √(1.25 / 4) a pixel.
    let dtssd = metrics::dtssd([&truth, &prediction], [&truth, &truth]);
    assert!((dtssd - 100.0 * 0.3125f64.sqrt()).abs() < 1e-9);
    // Ω is pixel 1 up to 0.5 and pixel 3 above, so l is 0, 0.5, 0, and 0: of two parts of one pixel the
    // first is taken. φ(p) = 1, 1, 1, 0; φ(t) = 1, 0.5, 0, 0.
    let conn = metrics::connectivity_error(&prediction, &truth);
    assert!((conn - 0.0015).abs() < 1e-9, "{conn}");
}

// -- The program -----------------------------------------------------------------------------------

/// Luma as matte, so that what is right is known.
fn luma() -> PathBuf {
    root().join("tests/fixtures/luma.onnx")
}

fn evaluate(arguments: &[&Path]) -> Command {
    let mut command = example("evaluate");
    command.args(["--device", "cpu", "--threads", "1", "--model"]).arg(luma()).args(arguments);
    command
}

fn json(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(&command.arg("--json").output().unwrap())).unwrap()
}

const SIDE: u32 = 64;

fn save(image: impl Into<DynamicImage>, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

/// A gray picture, which the network of these tests takes for its own matte.
fn gray(level: u8) -> RgbImage {
    RgbImage::from_pixel(SIDE, SIDE, Rgb([level; 3]))
}

fn flat(level: u8) -> GrayImage {
    GrayImage::from_pixel(SIDE, SIDE, Luma([level]))
}

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    // The network's luma is right to float32, the matte to 1/65535.
    assert!((value - expected).abs() <= 2e-4 * expected.abs().max(1.0), "{value} for {expected}");
}

#[test]
fn p3m_has_two_parts_with_trimaps() {
    let folder = tempfile::tempdir().unwrap();
    let validation = folder.path().join("validation");
    for (part, pictures) in [("P3M-500-P", "blurred_image"), ("P3M-500-NP", "original_image")] {
        let part = validation.join(part);
        for name in ["a b", "ä"] {
            save(gray(255), &part.join(pictures).join(name).with_extension("jpg"));
            save(flat(0), &part.join("mask").join(name).with_extension("png"));
            // Half is unknown; the rest is right once the trimap has its say.
            let half = GrayImage::from_fn(SIDE, SIDE, |x, _| Luma([if x < 32 { 128 } else { 0 }]));
            save(half, &part.join("trimap").join(name).with_extension("png"));
        }
    }
    let results = json(&mut evaluate(&[folder.path()]));
    assert_eq!(results["results"].as_array().unwrap().len(), 2);
    for (at, name) in ["P3M-500-P", "P3M-500-NP"].into_iter().enumerate() {
        let result = &results["results"][at];
        assert_eq!(result["dataset"], name);
        assert_eq!(result["samples"].as_array().unwrap().len(), 2);
        close(&result["mean"]["sad"], f64::from(SIDE * SIDE) / 1000.0);
        close(&result["mean"]["sad_t"], f64::from(SIDE * SIDE) / 2000.0);
        close(&result["mean"]["mse"], 1.0);
    }
}

#[test]
fn ppm_100_is_image_and_matte() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("1.png", 0), ("2.png", 51), ("10.png", 102)] {
        save(gray(level), &folder.path().join("image").join(name));
        save(flat(0), &folder.path().join("matte").join(name));
    }
    let results = json(&mut evaluate(&[folder.path()]));
    let result = &results["results"][0];
    let names: Vec<_> = (0..3).map(|at| result["samples"][at]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["1", "2", "10"]);
    close(&result["mean"]["mad"], 0.2);
    close(&result["median"]["mad"], 0.2);
    close(&result["mean"]["mse"], (0.04 + 0.16) / 3.0);
    let limited = json(evaluate(&[folder.path()]).args(["--limit", "2"]));
    close(&limited["results"][0]["mean"]["mad"], 0.1);
}

#[test]
fn cut_outs_are_composed_over_backgrounds() {
    let folder = tempfile::tempdir().unwrap();
    let (people, behind) = (folder.path().join("people"), folder.path().join("behind"));
    // 102 / 255 of white over a background of 0 is 102, which the network says is a matte of 0.4.
    save(RgbaImage::from_pixel(SIDE, SIDE, Rgba([255, 255, 255, 102])), &people.join("1.png"));
    save(RgbaImage::from_pixel(SIDE, SIDE, Rgba([255, 255, 255, 102])), &people.join("2.png"));
    save(RgbImage::new(31, 7), &behind.join("black.png"));
    save(RgbImage::from_pixel(9, 80, Rgb([255; 3])), &behind.join("white.png"));
    let results = json(evaluate(&[&people, Path::new("--backgrounds"), &behind]).arg("--limit=2"));
    close(&results["results"][0]["samples"][0]["errors"]["mad"], 0.0);
    close(&results["results"][0]["samples"][1]["errors"]["mad"], 0.6);
}

#[test]
fn clips_are_scored_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    // The prediction goes from 0 to 0.4 and stays; the truth is 0.
    let frames = [("0", 0), ("2", 102), ("10", 102)];
    let write = |com: &Path, pha: &Path| {
        for (name, level) in frames {
            save(gray(level), &com.join(name).with_extension("png"));
            save(flat(0), &pha.join(name).with_extension("png"));
        }
    };
    let by_clip = folder.path().join("by clip");
    write(&by_clip.join("set/0000/com"), &by_clip.join("set/0000/pha"));
    write(&by_clip.join("set/0001/com"), &by_clip.join("set/0001/pha"));
    let by_kind = folder.path().join("by kind");
    write(&by_kind.join("com/0000"), &by_kind.join("pha/0000"));
    let alone = folder.path().join("alone");
    write(&alone.join("com"), &alone.join("pha"));
    let results = json(&mut evaluate(&[&by_clip, &by_kind, &alone]));
    let results = results["results"].as_array().unwrap();
    let clips: Vec<_> = results.iter().map(|r| r["samples"].as_array().unwrap().len()).collect();
    assert_eq!(clips, [2, 1, 1]);
    assert_eq!(results[0]["samples"][1]["name"], "set/0001");
    for result in results {
        assert_eq!(result["kind"], "clips");
        close(&result["mean"]["mad_e3"], 1e3 * 0.8 / 3.0);
        close(&result["mean"]["mse_e3"], 1e3 * 0.32 / 3.0);
        close(&result["mean"]["dtssd"], 40.0 / 3.0);
    }
}

#[test]
fn pairs_lie_in_one_folder_or_in_two() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    save(gray(255), &one.join("a.jpg"));
    save(flat(255), &one.join("a.png"));
    // The picture has twice the size of its matte.
    save(RgbImage::from_pixel(2 * SIDE, 2 * SIDE, Rgb([255; 3])), &one.join("b.jpeg"));
    save(flat(255), &one.join("b.png"));
    std::fs::write(one.join("README.txt"), "not a picture").unwrap();
    let (pictures, mattes) = (folder.path().join("pictures"), folder.path().join("mattes"));
    save(gray(0), &pictures.join("c.jpg"));
    // The alpha channel of a cut-out, 16 bits.
    let deep = image::ImageBuffer::from_pixel(SIDE, SIDE, Rgba([9u16, 9, 9, 6553]));
    save(DynamicImage::ImageRgba16(deep), &mattes.join("c.png"));
    let mut command = evaluate(&[&one]);
    command.arg("--pictures").arg(&pictures).arg("--mattes").arg(&mattes);
    let results = json(&mut command);
    assert_eq!(results["results"][0]["samples"].as_array().unwrap().len(), 2);
    close(&results["results"][0]["mean"]["mad"], 0.0);
    close(&results["results"][1]["mean"]["mad"], 6553.0 / 65535.0);
}

#[test]
fn a_closer_look_at_somebody_small_gives_a_finer_matte() {
    let folder = tempfile::tempdir().unwrap();
    let somebody = |x: u32, y: u32| (400..520).contains(&x) && (150..450).contains(&y);
    let level = |x, y| if somebody(x, y) { 255 } else { 0 };
    save(RgbImage::from_fn(1280, 720, |x, y| Rgb([level(x, y); 3])), &folder.path().join("a.jpg"));
    save(GrayImage::from_fn(1280, 720, |x, y| Luma([level(x, y)])), &folder.path().join("a.png"));
    let [frame, auto] = ["frame", "auto"].map(|region| {
        let mut command = example("evaluate");
        command.args(["--device", "cpu", "--region", region, "--model"]);
        command.arg(root().join("tests/fixtures/small_output.onnx")).arg(folder.path());
        json(&mut command)["results"][0]["mean"]["mad"].as_f64().unwrap()
    });
    assert!(auto > 0.0 && auto < 0.8 * frame, "{auto} with a closer look, {frame} without");
}

#[test]
fn tables_stand_beside_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    save(gray(255), &folder.path().join("a.jpg"));
    save(flat(0), &folder.path().join("a.png"));
    let text = stdout(&evaluate(&[folder.path()]).output().unwrap());
    let row = |name: &str| text.lines().find(|line| line.trim().starts_with(name)).unwrap();
    let cells = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
    assert_eq!(cells(row("SAD")), ["SAD", "MSE", "MAD", "Grad", "Conn"]);
    assert_eq!(cells(row("mean"))[..4], ["mean", "4.10", "1.0000", "1.0000"]);
    for expected in [
        ["PhotoMatte85", "SAD", "7.97", "5.85"],
        ["PhotoMatte85", "MSE", "0.0017", "0.0009"],
        ["PPM-100", "SAD", "90.86", "78.17"],
        ["P3M-500-NP", "SAD", "14.88", "14.83"],
        ["P3M-500-NP", "SAD-T", "10.31", "10.23"],
        ["P3M-500-P", "SAD", "17.92", "12.65"],
        ["P3M-500-P", "SAD-T", "9.66", "9.19"],
    ] {
        assert!(text.lines().any(|line| cells(line) == expected), "{expected:?} in {text}");
    }
}

#[test]
fn the_report_is_one_page_with_plots_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("<best>", 0), ("fine", 30), ("poor", 200)] {
        save(gray(level), &folder.path().join(format!("{name}.jpg")));
        save(flat(0), &folder.path().join(format!("{name}.png")));
    }
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("ein bericht ü.html");
    stdout(&evaluate(&[folder.path(), Path::new("--report"), &report]).output().unwrap());
    let page = std::fs::read_to_string(&report).unwrap();
    assert_eq!(page.matches("<svg").count(), 5, "a plot for each metric");
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,/9j/").count(), 12);
    assert_eq!(page.matches("<circle").count(), 15);
    for (title, name) in [("Best", "&lt;best&gt;"), ("Median", "fine"), ("Worst", "poor")] {
        assert!(page.contains(&format!("{title}: {name}")), "{title}");
    }
    assert!(page.contains("90.86"));
    assert!(
        !page.contains("<best>") && !page.contains("http"),
        "nothing is fetched from elsewhere"
    );
    assert_eq!(files_in(reports.path()), ["ein bericht ü.html"]);
}

#[test]
fn bad_input_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fails = |dataset: &Path, words: &[&str]| {
        let reports = tempfile::tempdir().unwrap();
        let report = reports.path().join("out.html");
        let message =
            failure(&evaluate(&[dataset, Path::new("--report"), &report]).output().unwrap());
        for word in words {
            assert!(message.contains(word), "`{word}` in {message}");
        }
        assert!(files_in(reports.path()).is_empty());
    };
    fails(&at("nowhere"), &["nowhere", "could not be read"]);
    std::fs::write(at("file"), "").unwrap();
    fails(&at("file"), &["file", "could not be read"]);
    std::fs::create_dir(at("empty")).unwrap();
    fails(&at("empty"), &["empty", "layouts"]);

    save(gray(0), &at("alone/image/ein bild ü.png"));
    save(flat(0), &at("alone/matte/other.png"));
    fails(&at("alone"), &["ein bild ü.png", "no matte"]);
    save(flat(0), &at("alone/matte/ein bild ü.png"));
    fails(&at("alone"), &["other.png", "no picture"]);

    save(gray(0), &at("shape/a.jpg"));
    save(GrayImage::new(SIDE, SIDE + 9), &at("shape/a.png"));
    fails(&at("shape"), &["a.jpg", "64x64", "64x73"]);

    // Noise, so that there are bytes to miss.
    let mut noise = Noise(3);
    let rough = RgbImage::from_fn(SIDE, SIDE, |_, _| Rgb([(noise.next() * 255.0) as u8; 3]));
    for (name, keep) in [("cut.jpg", 2), ("cut.png", 2), ("none.jpg", usize::MAX)] {
        let (stem, ending) = name.split_once('.').unwrap();
        let dataset = at(&format!("{stem} {ending}"));
        let picture = dataset.join("image").join(name);
        save(rough.clone(), &picture);
        save(flat(0), &dataset.join("matte").join(stem).with_extension("png"));
        let bytes = std::fs::read(&picture).unwrap();
        std::fs::write(&picture, &bytes[..bytes.len() / keep]).unwrap();
        fails(&dataset, &[name, "could not be read"]);
    }

    save(gray(0), &at("opaque/a.png"));
    let mut command = evaluate(&[&at("opaque"), Path::new("--backgrounds"), &at("opaque")]);
    assert!(failure(&command.output().unwrap()).contains("alpha"));
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("no folder/out.html");
    // The dataset is not there either, which would be found next.
    let output = evaluate(&[Path::new("nowhere"), Path::new("--report"), &report]).output();
    let message = failure(&output.unwrap());
    assert!(message.contains("out.html") && message.contains("--report"), "{message}");
}

/// A pipe with a name.
#[cfg(unix)]
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_not_replaced_by_the_report() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    save(gray(0), &at("set/a.jpg"));
    save(flat(0), &at("set/a.png"));
    let report = |path: &Path| evaluate(&[&at("set"), Path::new("--report"), path]);

    pipe(&at("pipe"));
    let read = {
        let pipe = at("pipe");
        std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap())
    };
    stdout(&ended(&mut report(&at("pipe"))));
    assert!(read.join().unwrap().ends_with("</html>\n"));
    assert!(!at("pipe").metadata().unwrap().is_file());

    // What a link leads to gets the report, and the link stays.
    std::fs::write(at("real.html"), "before").unwrap();
    symlink("real.html", at("link.html")).unwrap();
    stdout(&ended(&mut report(&at("link.html"))));
    assert!(at("link.html").is_symlink());
    assert!(std::fs::read_to_string(at("real.html")).unwrap().ends_with("</html>\n"));

    symlink("/dev/stdout", at("out.html")).unwrap();
    assert!(stdout(&ended(&mut report(&at("out.html")))).ends_with("</html>\n"));
    assert!(at("out.html").is_symlink());
    if full_disk().is_some() {
        symlink("/dev/full", at("full.html")).unwrap();
        let message = failure(&ended(&mut report(&at("full.html"))));
        assert!(message.contains("full.html could not be written"), "{message}");
        assert!(at("full.html").is_symlink());
    }
    let names = ["full.html", "link.html", "out.html", "pipe", "real.html", "set"];
    assert!(files_in(folder.path()).iter().all(|name| names.contains(&name.as_str())));
}

#[test]
#[cfg(unix)]
fn a_pipe_among_pictures_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    save(flat(0), &folder.path().join("a.png"));
    pipe(&folder.path().join("a.jpg"));
    let message = failure(&ended(&mut evaluate(&[folder.path()])));
    assert!(message.contains("a.jpg") && message.contains("no regular file"), "{message}");
}

#[test]
fn clips_of_changing_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, side) in [("0.png", 64), ("1.png", 32)] {
        save(RgbImage::new(side, side), &folder.path().join("com").join(name));
        save(GrayImage::new(side, side), &folder.path().join("pha").join(name));
    }
    let message = failure(&evaluate(&[folder.path()]).output().unwrap());
    assert!(message.contains("1.png") && message.contains("size"), "{message}");
}
