# Everything runs through scripts/env, which points GStreamer at the plugin built here and keeps the user's registry as it is.
.DEFAULT_GOAL := help
.PHONY: help setup build demo install uninstall package package-check test lint doc bench measure processor device carry foreground edges arm64-check obs-check browser-check soak farm-short farm-check farm-scale deny clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: system packages, ONNX Runtime, a Python environment; PROVIDERS=webgpu: for any GPU; openvino: for Intel's devices
	@PROVIDERS="$(PROVIDERS)" scripts/setup

build: setup ## build the plugin, target/release/libgstdavidmatte.so
	cargo build --release

demo: setup ## matte a clip; leaves videos and a contact sheet in build/demo
	@scripts/demo

install: build ## install the plugin and ONNX Runtime for this user
	@scripts/install

uninstall: ## remove what `make install` installed
	@scripts/install --uninstall

package: setup ## make a Debian package in target/debian; PROVIDERS=webgpu: one of that provider, too
	@command -v cargo-deb >/dev/null || { echo 'cargo-deb not found; install it with: cargo install cargo-deb --locked' >&2; exit 1; }
	$(if $(filter aarch64,$(shell uname -m)),ln -sfn onnxruntime build/onnxruntime-aarch64)
	cargo deb $(if $(filter aarch64,$(shell uname -m)),--variant=arm64)
	$(if $(filter webgpu,$(PROVIDERS)),cargo deb --no-build --variant=webgpu$(if $(filter aarch64,$(shell uname -m)),-arm64))

package-check: package ## as root: install and run the package in clean Debian 12 and 13 roots
	@scripts/check-package

test: setup lint ## run every check
	cargo build # the plugin for tests that run gst-launch-1.0: cargo test alone does not leave it in target/debug
	DAVIDMATTE_PROFILE=debug G_DEBUG=fatal-warnings scripts/env cargo test
	scripts/env cargo test --example matte_file # tests of its own, which cargo test leaves out
	$(MAKE) --no-print-directory farm-short
	$(MAKE) --no-print-directory doc
	DAVIDMATTE_PROFILE=debug scripts/check-readme
	DAVIDMATTE_PROFILE=debug scripts/check-readme docs/files.md
	DAVIDMATTE_PROFILE=debug scripts/check-readme docs/recipes.md

lint: setup ## formatting and clippy
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

doc: setup ## build the documentation, target/doc/gstdavidmatte
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

bench: setup ## measure speed
	scripts/env cargo bench --bench frame

measure: setup ## compare speed with OpenCV, videoconvert and the network alone: MODELS="builtin path.onnx" DEVICE=cuda
	scripts/env cargo bench --quiet --bench measure -- $(MODELS)

processor: setup ## measure what a frame costs the processor, step by step, beside a script with MediaPipe: CLIP=talk.mp4 PROPERTIES="background=image ..."
	@[ -x build/script/bin/python ] || python3 -m venv build/script
	@build/script/bin/pip --disable-pip-version-check --quiet install -r tests/reference/script.txt
	scripts/env cargo bench --quiet --bench processor -- $(CLIP) $(PROPERTIES)
	@build/script/bin/python tests/reference/script.py $(CLIP) 2> build/script/log

device: setup ## measure networks on a device, and their mattes against the processor's: DEVICE=cuda MODELS="builtin path.onnx"
	scripts/env cargo bench --quiet --bench device -- $(MODELS)

carry: setup ## measure how well a matte is carried, beside holding it and beside DIS optical flow
	build/venv/bin/python tests/reference/carry.py

soak: setup ## run 20,000 frames in every pacing and watch the memory
	scripts/env cargo test --test soak -- --ignored --nocapture

foreground: ## compare the colours at soft edges with known ones, and with pymatting's
	@[ -x build/foreground/bin/python ] || python3 -m venv build/foreground
	@build/foreground/bin/pip --disable-pip-version-check --quiet install -r tests/reference/foreground.txt
	@build/foreground/bin/python tests/reference/foreground.py

edges: setup ## compare mattes at the frame's size with known ones: PARTS="oracle region refine time"
	@[ -x build/foreground/bin/python ] || python3 -m venv build/foreground
	@build/foreground/bin/pip --disable-pip-version-check --quiet install -r tests/reference/edges.txt
	cargo build --release
	@scripts/env build/foreground/bin/python tests/reference/edges.py $(PARTS)

arm64-check: setup ## cross-compile for 64-bit ARM, and run tests and a pipeline under qemu
	@scripts/check-arm64

obs-check: setup ## show OBS the person in every way that needs no hardware, and compare: OBS_GSTREAMER=PATH/obs-gstreamer.so
	@[ -x build/obs/venv/bin/python ] || python3 -m venv build/obs/venv
	@build/obs/venv/bin/pip --disable-pip-version-check --quiet install -r tests/obs/requirements.txt
	cargo build --release
	@scripts/env build/obs/venv/bin/python tests/obs/check.py $(if $(OBS_GSTREAMER),--plugin $(OBS_GSTREAMER))

browser-check: setup ## send fill and key to a Chromium without a screen, and look at its page: CHROMIUM=PATH PICTURE=FILE
	@[ -x build/browser/bin/python ] || python3 -m venv build/browser
	@build/browser/bin/pip --disable-pip-version-check --quiet install -r tests/browser/requirements.txt
	cargo build --release
	@scripts/env build/browser/bin/python tests/browser/check.py $(if $(CHROMIUM),--chromium $(CHROMIUM)) $(if $(PICTURE),--picture $(PICTURE))

# Made once for each state of what they are installed from.
build/farm/.%: examples/farm/requirements.txt examples/farm/tests/short.txt examples/farm/tests/requirements.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'examples/farm needs Python 3.11 or newer; put one first on the PATH' >&2; exit 1; }
	@[ -x build/farm/bin/python ] || python3 -m venv build/farm
	@build/farm/bin/pip --disable-pip-version-check --quiet install -r examples/farm/requirements.txt -r examples/farm/tests/$*.txt
	@touch $@

farm-short: build/farm/.short ## matte a short film in two ranges with the debug build, as `make test` does
	@DAVIDMATTE_PROFILE=debug scripts/env build/farm/bin/python -m pytest examples/farm/tests/test_short.py

farm-check: setup build/farm/.requirements ## try the farm: mixed films, what dies, Ray, S3, manifests, overhead; takes ffmpeg
	@command -v ffmpeg >/dev/null || { echo 'ffmpeg not found; install it to make the films that are tried' >&2; exit 1; }
	cargo build --release --example matte_file
	scripts/env build/farm/bin/python -m pytest examples/farm/tests

farm-scale: build/farm/.requirements ## simulate how the farm scales; draws docs/farm.svg
	@build/farm/bin/python examples/farm/simulate.py --plot docs/farm.svg

deny: ## check licences and advisories of dependencies
	@command -v cargo-deny >/dev/null || { echo 'cargo-deny not found; install it with: cargo install cargo-deny --locked' >&2; exit 1; }
	cargo deny check

clean: ## remove what was built and fetched
	cargo clean
	rm -rf build/demo build/farm build/foreground build/onnxruntime build/venv build/package-check build/setup.* build/.setup-* build/registry-*.bin
