//! What ONNX Runtime throws is an error message in every kind of program, whichever unwinder that brought.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use std::process::{Command, Output};

use common::{fixture, root};

/// Runs a command with the plugin as it was built.
fn run(command: &[&str]) -> Output {
    let mut child = Command::new(root().join("scripts/env"));
    child.args(command).env_remove("LD_PRELOAD");
    child.output().unwrap()
}

fn assert_told(output: &Output, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code().is_some(), "{what} was ended by {}: {text}", output.status);
    assert!(text.contains("unheard_of.onnx could not be read"), "{what}: {text}");
}

/// libunwind is in its global scope, and ONNX Runtime brings libstdc++.
#[test]
fn in_gst_launch() {
    let model = format!("model={}", fixture("unheard_of.onnx"));
    let pipeline = ["videotestsrc", "!", "davidmatte", "device=cpu", &model, "!", "fakesink"];
    assert_told(&run(&[&["gst-launch-1.0", "-q"], &pipeline[..]].concat()), "gst-launch-1.0");
}

/// As a module of Python's would, it opens libstdc++, which brings libgcc, before GStreamer comes.
const PYTHON: &str = r#"
import ctypes, sys
ctypes.CDLL("libstdc++.so.6")
gst = ctypes.CDLL("libgstreamer-1.0.so.0", mode=ctypes.RTLD_GLOBAL)
gst.gst_init(None, None)
gst.gst_element_factory_make.restype = ctypes.c_void_p
element = gst.gst_element_factory_make(b"davidmatte", None)
assert element, "no element"
element = ctypes.c_void_p(element)
gst.gst_util_set_object_arg(element, b"model", sys.argv[1].encode())
gst.gst_util_set_object_arg(element, b"device", b"cpu")
gst.gst_bus_new.restype = ctypes.c_void_p
bus = ctypes.c_void_p(gst.gst_bus_new())
gst.gst_element_set_bus(element, bus)
READY, PAUSED = 2, 3
assert gst.gst_element_set_state(element, PAUSED) == 0, "it should fail"
gst.gst_bus_pop_filtered.restype = ctypes.c_void_p
ERROR = 1 << 1
message = ctypes.c_void_p(gst.gst_bus_pop_filtered(bus, ERROR))
class GError(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p)]
error = ctypes.POINTER(GError)()
gst.gst_message_parse_error(message, ctypes.byref(error), None)
print(error.contents.message.decode())
gst.gst_element_set_state(element, 1)
"#;

#[test]
fn in_python_with_a_module_in_c_plus_plus() {
    let model = fixture("unheard_of.onnx");
    assert_told(&run(&["python3", "-c", PYTHON, &model]), "Python");
}
